import { silentLog, systemClock } from '#base';
import { createBuiltinDriver } from '../../plugins/ingress/builtin/driver.ts';
import { ingressDriverContract } from './ingress-driver.ts';

ingressDriverContract('builtin', () => createBuiltinDriver({ clock: systemClock, log: silentLog }));
