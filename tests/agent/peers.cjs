// Peers for tests/agent/test_peers.py: npm's node-hl7-client sends to our agent, npm's node-hl7-server takes from our sender.
//   node peers.cjs client PORT COUNT     prints a JSON line an answer: [MSA-1, MSA-2]; the next message goes after the answer
//   node peers.cjs burst PORT COUNT      all messages at once, without waiting for answers
//   node peers.cjs queue PORT COUNT      all at once on a client told to wait for answers: node-hl7-client 4.0.0 never gets to them. It takes
//                                        a message off its queue, finds that it waits, puts it back, and does so for ever without reading
//   node peers.cjs server PORT           prints "listening", then a JSON line a message: [MSH-10, OBX-5]
const [mode, port, count] = process.argv.slice(2);
const say = (value) => console.log(JSON.stringify(value));

function client() {
  const { default: Client, Message } = require("node-hl7-client");
  const made = new Client({ host: "127.0.0.1", version: "2.5" });
  let sent = 0, heard = 0;
  const send = () => {
    const n = sent;
    sent += 1;
    const text = `MSH|^~\\&|BC|Lab|||20260701||ORU^R01|N${n}|P|2.5\rPID|1||P7\rOBR|1||T${n}\rOBX|1|NM|WBC||6.${n}|10*9/L`;
    link.sendMessage(new Message({ text })).catch((error) => { console.error(error); process.exit(1); });
  };
  const link = made.createConnection({ port: Number(port), waitAck: mode !== "burst" }, async (res) => {
    const message = res.getMessage();
    say([message.get("MSA.1").toString(), message.get("MSA.2").toString()]);
    heard += 1;
    if (heard === Number(count)) process.exit(0);
    if (mode === "client") send();
  });
  if (mode === "client") send();
  else link.once("connect", () => { while (sent < Number(count)) send(); });
}

function server() {
  const { Server } = require("node-hl7-server");
  const made = new Server({ bindAddress: "127.0.0.1" });
  const inbound = made.createInbound({ port: Number(port) }, async (req, res) => {
    const message = req.getMessage();
    say([message.get("MSH.10").toString(), message.get("OBX.5").toString()]);
    await res.sendResponse("AA");
  });
  inbound.on("listen", () => say("listening"));
}

if (mode === "server") server();
else client();
