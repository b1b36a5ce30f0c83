/** Where hosts join, and where joined ones get what they need. Paths of the API server outside its resources. */
export const enrollmentPaths = {
  authority: '/pintle/v1/ca',
  join: '/pintle/v1/join',
  tokens: '/pintle/v1/node-tokens',
  settings: '/pintle/v1/node-settings',
  certificate: '/pintle/v1/node-certificate',
  tunnel: '/pintle/v1/tunnel',
} as const;
/** With a tunnel: the address under which the node knows this server. */
export const dialledHeader = 'x-pintle-dialled';
