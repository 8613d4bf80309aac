// The running site these tests talk to; tests/clients/run.py starts it and sets these.
function required(name) {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is not set: run these tests through tests/clients/run.py`);
  }
  return value;
}

export const url = required('CELLULE_URL');
export const key = required('CELLULE_KEY');
export const model = required('CELLULE_MODEL');
// The program itself.
export const binary = required('CELLULE_BINARY');
// One that embeds.
export const embedder = required('CELLULE_EMBEDDER');
// How many requests of one user the pool lets wait before it answers 429.
export const queueLimit = Number(required('CELLULE_QUEUE'));

export const baseURL = `${url}/v1`;
export const question = [{ role: 'user', content: 'What is Cellule?' }];
// The same request gives the same answer on any worker.
export const exact = { model, messages: question, temperature: 0, seed: 7, max_tokens: 24 };

export async function settled(promises) {
  const results = await Promise.allSettled(promises);
  return {
    values: results.filter((result) => result.status === 'fulfilled').map((result) => result.value),
    errors: results.filter((result) => result.status === 'rejected').map((result) => result.reason),
  };
}
