// What somebody wants to buy, in memory: a cart that is lost is filled again.
import { call, Refusal, serve } from './service.ts';

export interface Line {
  readonly sku: string;
  readonly count: number;
}
const cartsMax = 10_000;
const linesMax = 50;
const carts = new Map<string, Line[]>();

serve('cart', {
  'GET /api/cart/:id': (_request, { id }) => Response.json(carts.get(id!) ?? []),
  'POST /api/cart/:id': async (request, { id }) => {
    const { sku, count = 1 } = (await request.json().catch(() => ({}))) as Partial<Line>;
    if (typeof sku !== 'string' || !Number.isInteger(count) || count < 1 || count > 99)
      throw new Refusal(400, 'wanted: {"sku": "…", "count": 1 to 99}');
    await call('cart', 'catalog', `/api/catalog/${encodeURIComponent(sku)}`); // it exists
    const lines = carts.get(id!) ?? [];
    if (lines.length >= linesMax) throw new Refusal(409, `a cart holds ${linesMax} lines`);
    if (!carts.has(id!) && carts.size >= cartsMax) carts.delete(carts.keys().next().value!); // the oldest
    carts.set(id!, [...lines, { sku, count }]);
    return Response.json(carts.get(id!));
  },
  'DELETE /api/cart/:id': (_request, { id }) => Response.json(carts.delete(id!)),
});
