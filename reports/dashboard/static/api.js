// Questions to the plugin's Python side; addresses are relative to data/plugin/speedproof/.

/** Return the address of a route with its parameters. */
export function address(route, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  return query ? `${route}?${query}` : route;
}

/** Return a route's JSON; an error carries the sentence that the server gave. */
export async function getJson(route, parameters) {
  const response = await fetch(address(route, parameters));
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}
