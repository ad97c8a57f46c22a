// The guide's pages, which read a stream with fetch and take its frames apart by
// hand: toasts of notifications, and the tail of a log.

// Opens a stream and hands on its frames: { event, id, data } with the data as
// text, or { comment }. It ends with the stream.
export async function* frames(url, { headers = {}, signal, opened = () => {} } = {}) {
    const answer = await fetch(url, { headers: { accept: 'text/event-stream', ...headers }, signal });
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    opened(answer);
    const decoder = new TextDecoder();
    let rest = '';
    for await (const chunk of answer.body) {
        rest += decoder.decode(chunk, { stream: true });
        const blocks = rest.split('\n\n');
        rest = blocks.pop();
        for (const block of blocks) yield* parse(block);
    }
}

function* parse(block) {
    const frame = { event: 'message', id: '', data: [] };
    for (const line of block.split('\n')) {
        if (line.startsWith(':')) {
            yield { comment: line.slice(1).trim() };
            continue;
        }
        const [name, value] = line.split(/: ?(.*)/s);
        if (name === 'data') frame.data.push(value);
        else if (name === 'event' || name === 'id') frame[name] = value;
    }
    if (frame.data.length) yield { ...frame, data: frame.data.join('\n') };
}

// Notifications that vanish after five seconds, or when they are clicked on.
export class Toasts {
    shown = [];

    constructor(later = (then, ms) => setTimeout(then, ms)) {
        this.later = later;
    }

    add({ id, level, title, message }) {
        if (!['info', 'success', 'warning', 'error'].includes(level)) throw new Error(`no colour for ${level}`);
        this.shown.push({ id, level, title, message });
        this.later(() => this.click(id), 5000);
    }

    click(id) {
        this.shown = this.shown.filter(toast => toast.id !== id);
    }
}

// The last lines of a log.
export class LogView {
    static most = 1000;
    lines = [];
    state = 'connecting'; // connected, disconnected
    follows = true; // scrolls to the newest line
    top = 0; // the line shown first

    add(line) {
        this.lines = [...this.lines, line].slice(-LogView.most);
        if (this.follows) this.top = this.lines.length - 1;
    }

    clear() {
        this.lines = [];
        this.top = 0;
    }

    // Shows a log until signal says stop.
    async follow(url, headers, signal) {
        try {
            for await (const { event, data } of frames(url, { headers, signal, opened: () => { this.state = 'connected'; } })) {
                if (['debug', 'info', 'warn', 'error'].includes(event)) this.add(JSON.parse(data));
            }
        } catch (error) {
            if (!signal.aborted) throw error;
        } finally {
            this.state = 'disconnected';
        }
    }
}
