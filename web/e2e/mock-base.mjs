// What all parts of the stand-in share.

export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

export function push(state, topic, body) {
  state.eventId += 1;
  for (const response of state.streams)
    response.write(`id: ${state.eventId}\nevent: ${topic}\ndata: ${JSON.stringify(body)}\n\n`);
}
