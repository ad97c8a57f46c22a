// The talk on a terminal: a line that is typed is sent, what arrives is printed,
// Ctrl-C or the end of the input ends it.
// Usage: TOKEN=… node terminal.mjs http://127.0.0.1:8080
import { createInterface } from 'node:readline';

import { Talk } from './talk-client.mjs';

const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ', terminal: process.stdin.isTTY });
const headers = process.env.TOKEN ? { authorization: `Bearer ${process.env.TOKEN}` } : {};
const talk = new Talk(process.argv[2], headers, ({ text }) => {
    process.stdout.write(`< ${text}\n`);
    lines.prompt();
});

lines.on('line', async line => {
    if (!line.trim()) return lines.prompt();
    await talk.ready;
    const { http, error } = await talk.send(line);
    if (http !== 201) process.stdout.write(`! ${error}\n`);
});
lines.on('SIGINT', () => lines.close());
process.on('SIGINT', () => lines.close());
lines.on('close', () => {
    talk.close();
    process.stdout.write('bye\n');
});
talk.ready.catch(error => {
    process.stdout.write(`! ${error.message}\n`);
    process.exitCode = 1;
    lines.close();
});
