// Socket.IO's own client, told what to do: in Node by lines of stdin, in a browser by a test.

function makeRobot(io, say) {
  let socket;

  function watchUpgrade(engine) {
    const tell = () => say({ event: "upgraded", args: [engine.transport.name] });
    engine.transport.name === "websocket" ? tell() : engine.once("upgrade", tell);
  }

  return {
    connect(url, options) {
      socket = io(url, { reconnectionDelay: 50, reconnectionDelayMax: 300, ...options });
      socket.on("connect", () => {
        say({ event: "connect", args: [{ id: socket.id, recovered: socket.recovered }] });
        watchUpgrade(socket.io.engine);
      });
      socket.on("disconnect", (reason) => say({ event: "disconnect", args: [reason] }));
      socket.on("connect_error", ({ message, data = null }) =>
        say({ event: "connect_error", args: [{ message, data }] }));
      socket.onAny((event, ...args) => say({ event, args }));
    },

    call(id, event, data) {
      socket.emit(event, data, (answer) => say({ ack: id, answer }));
    },
  };
}

if (typeof window === "undefined") {
  const { createInterface } = require("node:readline");
  const { io } = require("socket.io-client");
  const robot = makeRobot(io, (line) => process.stdout.write(`${JSON.stringify(line)}\n`));
  createInterface({ input: process.stdin })
    .on("line", (line) => {
      const [act, ...args] = JSON.parse(line);
      robot[act](...args);
    })
    .on("close", () => process.exit());
} else {
  window.makeRobot = makeRobot;
}
