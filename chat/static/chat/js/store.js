/**
 * Where the outbox keeps what was not acknowledged. Two stores of one shape:
 * `add(record)` → the record with its number `n` (rising over all tabs), `put(record)`,
 * `remove(record)`, `all(user)` in order of `n`.
 */

/** Survives reloads, closed tabs and crashes of the browser. */
class DiskStore {
  durable = true;
  #db;

  static async open(name = "chatsite") {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      const outbox = request.result.createObjectStore("outbox", { keyPath: "n", autoIncrement: true });
      outbox.createIndex("user", "user");
    };
    const store = new DiskStore();
    store.#db = await settled(request);
    store.#db.onversionchange = () => store.#db.close(); // or a newer page could not open it
    return store;
  }

  async add(record) {
    const n = await this.#write((outbox) => outbox.add(record));
    return { ...record, n };
  }

  put(record) {
    return this.#write((outbox) => outbox.put(record));
  }

  remove(record) {
    return this.#write((outbox) => outbox.delete(record.n));
  }

  all(user) {
    return settled(this.#db.transaction("outbox").objectStore("outbox").index("user").getAll(user));
  }

  /** Resolves when the transaction is on disk, not when the request has been taken. */
  async #write(act) {
    const transaction = this.#db.transaction("outbox", "readwrite", { durability: "strict" });
    const request = act(transaction.objectStore("outbox"));
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
    return request.result;
  }
}

/** For a browser that grants no storage: lasts as long as the page. */
export class MemoryStore {
  durable = false;
  #records = new Map();
  #last = 0;

  async add(record) {
    const added = { ...record, n: ++this.#last };
    this.#records.set(added.n, added);
    return { ...added };
  }

  async put(record) {
    this.#records.set(record.n, { ...record });
  }

  async remove(record) {
    this.#records.delete(record.n);
  }

  async all(user) {
    return [...this.#records.values()]
      .filter((record) => record.user === user)
      .sort((a, b) => a.n - b.n)
      .map((record) => ({ ...record }));
  }
}

export async function openStore() {
  try {
    return await DiskStore.open();
  } catch {
    return new MemoryStore();
  }
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
