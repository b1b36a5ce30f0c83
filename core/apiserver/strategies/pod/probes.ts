import { fieldErrors, type HTTPGetAction, type Lifecycle, type LifecycleHandler, type Probe } from '#api';
import { portName } from '../rules/names.ts';
import { checkName, checkNotNegative, checkOneOf, checkPort, type Mistakes } from '../rules/values.ts';

export function checkPortOrName(mistakes: Mistakes, field: string, port: number | string): void {
  if (typeof port === 'number') checkPort(mistakes, field, port);
  else checkName(mistakes, field, port, portName);
}
function checkHttp(mistakes: Mistakes, at: string, action: Readonly<HTTPGetAction>): void {
  if (!action.path) mistakes.push(fieldErrors.required(`${at}.path`));
  checkPortOrName(mistakes, `${at}.port`, action.port);
  checkOneOf(mistakes, `${at}.scheme`, action.scheme, ['HTTP', 'HTTPS']);
  for (const [index, header] of (action.httpHeaders ?? []).entries())
    if (!/^[-A-Za-z0-9]+$/.test(header.name))
      mistakes.push(
        fieldErrors.invalid(
          `${at}.httpHeaders`,
          header.name,
          "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
        ),
      ) && index;
}

type Handler = Readonly<LifecycleHandler & Pick<Probe, 'grpc'>>;
const handlerNames = ['exec', 'httpGet', 'tcpSocket', 'grpc', 'sleep'] as const;
function checkHandler(mistakes: Mistakes, at: string, handler: Handler): void {
  let count = 0;
  for (const name of handlerNames) {
    if (!handler[name]) continue;
    if (count++ > 0) {
      mistakes.push(fieldErrors.forbidden(`${at}.${name}`, 'may not specify more than 1 handler type'));
      continue;
    }
    if (name === 'exec' && !handler.exec?.command?.length) mistakes.push(fieldErrors.required(`${at}.exec.command`));
    if (name === 'httpGet') checkHttp(mistakes, `${at}.httpGet`, handler.httpGet!);
    if (name === 'tcpSocket') checkPortOrName(mistakes, `${at}.tcpSocket.port`, handler.tcpSocket!.port);
    if (name === 'grpc') checkPort(mistakes, `${at}.grpc.port`, handler.grpc!.port);
  }
  if (count === 0) mistakes.push(fieldErrors.required(at, 'must specify a handler type'));
}

export function checkLifecycle(mistakes: Mistakes, at: string, lifecycle: Readonly<Lifecycle> | undefined): void {
  if (lifecycle?.postStart) checkHandler(mistakes, `${at}.postStart`, lifecycle.postStart);
  if (lifecycle?.preStop) checkHandler(mistakes, `${at}.preStop`, lifecycle.preStop);
}

/** Liveness and startup probes succeed at once or not at all. */
export function checkProbe(
  mistakes: Mistakes,
  at: string,
  probe: Readonly<Probe> | undefined,
  successOnce: boolean,
): void {
  if (!probe) return;
  checkHandler(mistakes, at, probe);
  for (const name of [
    'initialDelaySeconds',
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
  ] as const)
    checkNotNegative(mistakes, `${at}.${name}`, probe[name]);
  const grace = probe.terminationGracePeriodSeconds;
  if (grace !== undefined && !successOnce)
    mistakes.push(
      fieldErrors.invalid(`${at}.terminationGracePeriodSeconds`, grace, 'must not be set for readinessProbes'),
    );
  else if (grace !== undefined && grace <= 0)
    mistakes.push(fieldErrors.invalid(`${at}.terminationGracePeriodSeconds`, grace, 'must be greater than 0'));
  if (
    successOnce &&
    probe.successThreshold !== undefined &&
    probe.successThreshold !== 1 &&
    probe.successThreshold >= 0
  )
    mistakes.push(fieldErrors.invalid(`${at}.successThreshold`, probe.successThreshold, 'must be 1'));
}
