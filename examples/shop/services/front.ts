// The page. It asks the other services by way of the ingress, as any program could.
import type { Product } from './catalog.ts';
import { call, serve } from './service.ts';

const escaped = (text: string): string => text.replace(/[&<>"]/g, (each) => `&#${each.charCodeAt(0)};`);
const row = ({ sku, name, cents }: Product): string =>
  `<li>${escaped(name)}, ${(cents / 100).toFixed(2)} <button data-sku="${escaped(sku)}">into the cart</button></li>`;
const script = `
const cart = '/api/cart/' + (localStorage.cart ??= crypto.randomUUID());
const ask = async (method, path, body) => {
  const answer = await fetch(path, { method, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
};
const show = (text) => (document.querySelector('output').textContent = text);
const fill = async () => show((await ask('GET', cart)).map(({ sku, count }) => count + ' ' + sku).join(', ') || 'empty');
addEventListener('click', async ({ target }) => {
  try {
    if (target.dataset.sku) await ask('POST', cart, { sku: target.dataset.sku, count: 1 }).then(fill);
    if (target.id === 'order') show('ordered: ' + (await ask('POST', '/api/orders', { cart: localStorage.cart })).id);
  } catch (error) { show(error.message); }
});
fill();`;

serve('front', {
  'GET /': async () => {
    const products = await call<Product[]>('front', 'catalog', '/api/catalog');
    const page = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Shop</title><h1>Shop</h1>
<ul>${products.map(row).join('')}</ul><p>Cart: <output></output></p><button id="order">order</button><script>${script}</script>\n`;
    return new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } });
  },
});
