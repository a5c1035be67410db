/** What a browser keeps of one person beside the outbox: drafts, and how far each room was shown. */

export class Memory {
  #prefix;
  #storage;

  constructor(user, storage) {
    this.#prefix = `chatsite:${user}:`;
    this.#storage = storage;
  }

  get(key) {
    try {
      return JSON.parse(this.#storage.getItem(this.#prefix + key));
    } catch {
      return null; // no storage granted, or not ours
    }
  }

  set(key, value) {
    try {
      if (value === null || value === "") this.#storage.removeItem(this.#prefix + key);
      else this.#storage.setItem(this.#prefix + key, JSON.stringify(value));
    } catch {
      // Full or not granted: a draft is lost with its page, a room is resumed at the server's cursor.
    }
  }
}
