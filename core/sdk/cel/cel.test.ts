import { expect, test } from 'bun:test';
import { CelError, CelFailure, celEnvironment, celTypes as t, type Value } from './index.ts';

const environment = celEnvironment({ self: t.dyn, n: t.int, s: t.string, l: t.list(t.int) });
const evaluate = (source: string, values: Record<string, Value> = {}): Value =>
  environment.compile(source).evaluate(values).value;

const right: [string, Value, Record<string, Value>?][] = [
  ['1 + 2 * 3 == 7', true],
  ['n / 2', 3, { n: 7 }],
  ['-n % 2', -1, { n: 7 }],
  ['s.startsWith("ab") && size(s) > 2', true, { s: 'abc' }],
  ['l.all(x, x > 0) && l.sum() == 6', true, { l: [1, 2, 3] }],
  ['l.map(x, x % 2 == 1, x * 2)', [2, 6], { l: [1, 2, 3] }],
  ['l.filter(x, x > 1).exists_one(x, x == 2)', true, { l: [1, 2, 3] }],
  ['self.a.?b.orValue(5)', 5, { self: { a: {} } }],
  ['has(self.a) && !has(self.b)', true, { self: { a: 1 } }],
  ['self.x == 1 || true', true, { self: {} }],
  ['duration("1h") > duration("59m")', true],
  ['timestamp("2020-02-29T23:59:59Z") + duration("1s") == timestamp("2020-03-01T00:00:00Z")', true],
  ['timestamp("2020-01-01T00:00:00Z").getHours("+02:00")', 2],
  ['"abc".matches("a.c")', true],
  ['{"a": 1}["a"]', 1],
  ['n == 9223372036854775807', true, { n: 9223372036854775807n }],
  ['[1, 2, 3].transformList(i, v, i * v)', [0, 2, 6]],
  ['{"a": 1}.transformMap(k, v, k + string(v)) == {"a": "a1"}', true],
  ['"a-b".split("-").join("/")', 'a/b'],
  ['"😀b".size() == 2 && "😀b".indexOf("b") == 1', true],
  ['type(1) == int && type([]) == list', true],
  ['[{"a": 2}, {"a": 1}].sortBy(x, x.a)[0].a', 1],
  [
    '"%s is %d, %.2f %x %s".format([s, n, 1234.5, 255, [true, "a"]])',
    'x is 3, 1,234.50 ff [true, "a"]',
    { s: 'x', n: 3 },
  ],
  ['1u + 2u == 3u && 1 == 1u && 1.5 > 1', true],
  ['sets.contains([1, 2], [1])', true],
  ['optional.of(3).optMap(x, x + 1).value()', 4],
  ['"x" in {"x": 1} && 2 in [1, 2]', true],
  ['b"\\xff" == b"\\377"', true],
  ['quantity("1Gi").isGreaterThan(quantity("1G")) && quantity("500m") == quantity("0.5")', true],
  ['quantity("2").sub(1).asInteger()', 1],
  ['cidr("10.0.0.0/8").containsIP("10.1.2.3") && !cidr("10.0.0.0/8").containsCIDR("10.0.0.0/7")', true],
  ['cidr("192.168.1.7/24").masked() == cidr("192.168.1.0/24")', true],
  ['ip("::1").isLoopback() && ip("fe80::1").family() == 6 && !isIP("1.2.3.04")', true],
  ['url("https://example.com:80/a%20b?x=1&x=2").getQuery()["x"].join("")', '12'],
  ['url("https://Example.com:80/").getHost() + url("/p").getEscapedPath()', 'Example.com:80/p'],
  ['semver("1.2.0-rc.1").isLessThan(semver("1.2.0")) && semver("v1.2", true).minor() == 2', true],
  ['!format.dns1123Label().validate("a-b").hasValue()', true],
  ['format.named("dns1123Label").value().validate("A").value().size()', 1],
];
// Every row is filled up: the runner takes a parameter without a value for its `done`.
test.each(right.map(([source, expected, values = {}]) => [source, expected, values] as const))(
  '%s',
  (source, expected, values) => {
    expect(evaluate(source, values)).toEqual(expected);
  },
);

test.each([
  ['foo', "ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')\n | foo\n | ^"],
  [
    'n + 1.0',
    "ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, double)'\n | n + 1.0\n | ..^",
  ],
  ['1 +', 'mismatched input'],
  ['s.foo()', "undeclared reference to 'foo'"],
  ['[1, "a"]', "1:5: expected type 'int' but found 'string'"],
  ['duration("1x")', '1:10: invalid duration argument'],
  ['s.matches("[")', '1:11: invalid matches argument'],
  ['"%d".format([s])', 'decimal clause can only be used on integers, was given string'],
  ['"%d".format([])', '1:12: index 0 out of range'],
  ['n.a', "type 'int' does not support field selection"],
])('%s is refused before it runs', (source, text) => {
  expect(() => environment.compile(source)).toThrow(CelError);
  expect(() => environment.compile(source)).toThrow(text);
});

const wrong: [string, string, Record<string, Value>?][] = [
  ['9223372036854775807 + 1', 'integer overflow'],
  ['l[5]', 'index out of bounds: 5', { l: [1] }],
  ['n / 0', 'division by zero', { n: 1 }],
  ['self.x', 'no such key: x', { self: {} }],
  ['self.x + 1 == 2', 'no such overload', { self: { x: 'a' } }],
  ['int("x") == 1', "type conversion error from 'string' to 'int'"],
];
test.each(wrong.map(([source, text, values = {}]) => [source, text, values] as const))(
  '%s fails when it runs',
  (source, text, values) => {
    expect(() => evaluate(source, values)).toThrow(CelFailure);
    expect(() => evaluate(source, values)).toThrow(text);
  },
);

test('an evaluation ends at its limit of cost', () => {
  const program = environment.compile('l.all(x, l.all(y, x == y))');
  const list = Array.from({ length: 1000 }, () => 1);
  expect(() => program.evaluate({ l: list }, 1000)).toThrow('actual cost limit exceeded');
});

test('a pattern that stalls other engines takes linear time', () => {
  const started = performance.now();
  expect(evaluate('s.matches("^(a+)+$")', { s: `${'a'.repeat(5000)}!` })).toBe(false);
  expect(performance.now() - started).toBeLessThan(20_000); // backtracking would outlive the sun
});
