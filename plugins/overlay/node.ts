import { messageOf, type NodePart, type NodePartContext } from '#sdk';
import { HostAgent } from './host-agent.ts';

/** This host's side of the overlay. It begins when the cluster has given the host its subnets. */
export default {
  start(context: NodePartContext) {
    const done = new HostAgent(context).run().catch((error: unknown) => {
      if (!context.scope.signal.aborted) context.log.error('the overlay ended', { error: messageOf(error) });
    });
    context.scope.defer(() => done);
  },
} satisfies NodePart;
