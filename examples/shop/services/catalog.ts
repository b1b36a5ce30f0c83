// What there is to buy.
import { Refusal, serve } from './service.ts';

export interface Product {
  readonly sku: string;
  readonly name: string;
  readonly cents: number;
}
const products: readonly Product[] = [
  { sku: 'rudder', name: 'Rudder of oak', cents: 48_000 },
  { sku: 'pintle', name: 'Pintle of bronze', cents: 5_900 },
  { sku: 'gudgeon', name: 'Gudgeon of bronze', cents: 4_900 },
  { sku: 'tiller', name: 'Tiller of ash', cents: 8_500 },
];

serve('catalog', {
  'GET /api/catalog': () => Response.json(products),
  'GET /api/catalog/:sku': (_request, { sku }) => {
    const found = products.find((one) => one.sku === sku);
    if (!found) throw new Refusal(404, `there is no product ${sku}`);
    return Response.json(found);
  },
});
