import { expect, test } from 'bun:test';
import { readObject } from './body.ts';
import { BodyBudget, budgets } from './body-budget.ts';

const post = (bytes: number, chunked = false): Request => {
  const text = `{"a":"${'x'.repeat(bytes - 8)}"}`;
  const body = chunked
    ? new ReadableStream({
        start(controller) {
          for (let at = 0; at < text.length; at += 100)
            controller.enqueue(new TextEncoder().encode(text.slice(at, at + 100)));
          controller.close();
        },
      })
    : text;
  return new Request('http://localhost/', {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', ...(!chunked && { 'content-length': String(text.length) }) },
  });
};

test.each([false, true])(
  'bodies beyond the budget get 429 and Retry-After; what was answered makes room (chunked: %p)',
  async (chunked) => {
    const budget = new BodyBudget(1000);
    const [first, second] = [post(600, chunked), post(600, chunked)];
    for (const request of [first, second]) budgets.set(request, budget);
    expect(Object.keys((await readObject(first)).value)).toEqual(['a']);
    const refused = await readObject(second).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refused).toMatchObject({ code: 429, details: { retryAfterSeconds: 1 } });
    budget.release(first);
    budget.release(second);
    expect(budget.usedBytes).toBe(0);
    const third = post(600, chunked);
    budgets.set(third, budget);
    await readObject(third);
    expect(budget.usedBytes).toBe(600);
  },
);
