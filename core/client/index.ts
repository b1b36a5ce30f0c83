export * from './cache-informer.ts';
export * from './client.ts';
export * from './http.ts';
export * from './informer.ts';
