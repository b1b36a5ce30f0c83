import type { UserInfo } from '#sdk';
import { type Attributes, authenticatedGroup, type Decision, mastersGroup, nodeNameOf } from './attributes.ts';
import { authorizeNode, type NodeUses } from './node-authorizer.ts';
import {
  authenticatedPaths,
  authenticatedRules,
  componentRules,
  pathRuleAllows,
  publicPaths,
  ruleAllows,
} from './rules.ts';

const allowed: Decision = { allowed: true };

/** The fixed authorizer: positive lists only, so that nothing succeeds without an allow. */
export function createAuthorizer(options: { readonly nodeUses: NodeUses }): {
  authorize(user: UserInfo, attributes: Attributes): Decision;
} {
  return { authorize: (user, attributes) => authorize(user, attributes, options.nodeUses) };
}

export function authorize(user: UserInfo, attributes: Attributes, nodeUses: NodeUses): Decision {
  if (user.groups.includes(mastersGroup)) return allowed;
  const known = user.groups.includes(authenticatedGroup);
  if (!attributes.isResource) {
    const paths = known ? [...publicPaths, ...authenticatedPaths] : publicPaths;
    return paths.some((rule) => pathRuleAllows(rule, attributes)) ? allowed : { allowed: false };
  }
  if (!known) return { allowed: false };
  const own = Object.hasOwn(componentRules, user.name) ? componentRules[user.name]! : [];
  if ([...authenticatedRules, ...own].some((rule) => ruleAllows(rule, attributes))) return allowed;
  const nodeName = nodeNameOf(user);
  return nodeName === undefined ? { allowed: false } : authorizeNode(nodeName, attributes, nodeUses);
}
