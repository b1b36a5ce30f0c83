/** Our own short words for what `kubectl explain` shows. Fields without an entry stay undescribed. */
const types: Readonly<Record<string, string>> = {
  Pod: 'Containers that run together on one node and share an address.',
  Service: 'One stable address for a set of pods.',
  ReplicationController: 'Keeps a number of equal pods running.',
  Namespace: 'A room for names, with everything in it deleted together.',
  Node: 'A machine that runs pods.',
  ConfigMap: 'Settings as names and values, for pods to read.',
  Secret: 'Confidential values, for pods to read.',
  ServiceAccount: 'An identity for the processes in pods.',
  Endpoints: 'The addresses behind a service, in one object.',
  EndpointSlice: 'A part of the addresses behind a service.',
  Event: 'A report of something that happened to an object.',
  Lease: 'A claim that its holder must renew: who leads, which node lives.',
  ObjectMeta: 'What every object has: names, labels, owners.',
  PodSpec: 'What should run.',
  PodStatus: 'What was last seen running.',
  ServiceSpec: 'Which pods, and how they are reached.',
  Container: 'One program of a pod, with its image and its surroundings.',
};
const everywhere: Readonly<Record<string, string>> = {
  apiVersion: 'Group and version of this form of the object.',
  kind: 'What sort of object this is.',
  metadata: 'Names, labels, owners and versions.',
  creationTimestamp: 'CreationTimestamp is a timestamp: when the server stored the object first.',
  spec: 'What is wanted.',
  status: 'What was last observed.',
  labels: 'Short names and values to select by.',
  annotations: 'Names and values for tools; never selected by.',
  selector: 'Which objects belong, by their labels.',
  replicas: 'How many.',
  image: 'The image to run.',
  command: "Replaces the image's entry point.",
  args: "Replaces the image's arguments.",
  env: 'Environment variables.',
  ports: 'Ports, each with a name when there are several.',
  resources: 'What is reserved and what is the most.',
  volumeMounts: 'Where volumes appear.',
  containers: 'The programs to run, at least one.',
  volumes: 'Storage that containers can mount.',
  template: 'The pod to make.',
  nodeName: 'The node to run on; set by the scheduler.',
  restartPolicy: 'Always, OnFailure or Never.',
};
const shortName = (id: string): string => id.slice(id.lastIndexOf('.') + 1);
export const describeType = (id: string): string | undefined => types[shortName(id)];
export const describeField = (_typeId: string, name: string): string | undefined =>
  Object.hasOwn(everywhere, name) ? everywhere[name] : undefined;
