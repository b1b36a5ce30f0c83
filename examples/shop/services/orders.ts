// What was bought, in a database of its own.
import { Database } from 'bun:sqlite';
import type { Line } from './cart.ts';
import type { Product } from './catalog.ts';
import { call, count, Refusal, serve } from './service.ts';

const database = new Database(`${process.env['DATA'] ?? '/data'}/orders.db`, { create: true, strict: true });
database.run('PRAGMA journal_mode = WAL');
database.run('CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, lines TEXT NOT NULL, cents INTEGER NOT NULL)');
const insert = database.query('INSERT INTO orders (id, lines, cents) VALUES ($id, $lines, $cents)');
const find = database.query<{ id: string; lines: string; cents: number }, { id: string }>(
  'SELECT id, lines, cents FROM orders WHERE id = $id',
);

serve('orders', {
  'POST /api/orders': async (request) => {
    const { cart } = (await request.json().catch(() => ({}))) as { cart?: unknown };
    if (typeof cart !== 'string' || cart === '') throw new Refusal(400, 'wanted: {"cart": "…"}');
    const path = `/api/cart/${encodeURIComponent(cart)}`;
    const lines = await call<Line[]>('orders', 'cart', path);
    if (lines.length === 0) throw new Refusal(409, 'the cart is empty');
    const prices = new Map(
      (await call<Product[]>('orders', 'catalog', '/api/catalog')).map((one) => [one.sku, one.cents]),
    );
    const cents = lines.reduce((sum, line) => sum + (prices.get(line.sku) ?? 0) * line.count, 0);
    const id = crypto.randomUUID();
    insert.run({ id, lines: JSON.stringify(lines), cents });
    count('shop_orders_total', 'Orders.', 'service="orders"');
    count('shop_revenue_cents_total', 'What was ordered.', 'service="orders"', cents);
    await call('orders', 'cart', path, { method: 'DELETE' }).catch(() => {}); // the order stands all the same
    return Response.json({ id, cents }, { status: 201 });
  },
  'GET /api/orders/:id': (_request, { id }) => {
    const found = find.get({ id: id! });
    if (!found) throw new Refusal(404, `there is no order ${id}`);
    return Response.json({ ...found, lines: JSON.parse(found.lines) });
  },
});
