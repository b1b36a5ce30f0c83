import type { StreamHandlers } from '../contract.ts';
import { execHandler, portForwardHandler } from './exec.ts';
import { logHandler } from './log.ts';
import type { StreamingOptions } from './pod-target.ts';
import { proxyHandler } from './proxy.ts';

export type { KubeletTokenClaim, StreamingOptions } from './pod-target.ts';

/** The subresources of the core group that are streams. The server has authorised the request before a handler sees it. */
export const createStreamHandlers = (options: StreamingOptions): StreamHandlers => ({
  'pods/log': logHandler(options),
  'pods/exec': execHandler('exec', options),
  'pods/attach': execHandler('attach', options),
  'pods/portforward': portForwardHandler(options),
  'pods/proxy': proxyHandler('pods', options),
  'services/proxy': proxyHandler('services', options),
  'nodes/proxy': proxyHandler('nodes', options),
});
