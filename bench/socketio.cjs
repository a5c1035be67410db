// Socket.IO's own server, with the least that a chat needs: who is in a room gets its messages, numbered.

const { createServer } = require("node:http");
const { Server } = require("socket.io");

const http = createServer();
const chat = new Server(http).of("/chat");
let seq = 0;

chat.on("connection", (socket) => {
  const from = { id: 1, name: "member-0123abcd" };
  socket.on("join", ({ room }, answer) => {
    socket.join(room);
    answer({ data: { room } });
  });
  socket.on("message", ({ room, client_id, body }, answer) => {
    seq += 1;
    const at = new Date().toISOString();
    chat.to(room).emit("message", { room, seq, at, from, data: { client_id, body } });
    answer({ data: { room, seq, client_id, duplicate: false } });
  });
});

http.listen(0, "127.0.0.1", () => console.log(http.address().port));
