// The tutorial's chat page without its markup: an EventSource for what comes,
// fetch for what goes, a cookie from the login.
import { EventSource } from 'eventsource';

// What a browser does with cookies, as far as the page needs it.
export class CookieJar {
    cookies = new Map();

    fetch = async (input, init = {}) => {
        const headers = { ...init.headers };
        if (this.cookies.size) headers.cookie = [...this.cookies].map(pair => pair.join('=')).join('; ');
        const answer = await fetch(input, { ...init, headers });
        for (const line of answer.headers.getSetCookie()) {
            const [pair, ...attributes] = line.split('; ');
            const [name, value] = pair.split(/=(.*)/s);
            if (attributes.some(attribute => /^max-age=0$/i.test(attribute))) this.cookies.delete(name);
            else this.cookies.set(name, value);
        }
        return answer;
    };
}

export class ChatPage {
    status = 'disconnected'; // connecting, connected, reconnecting
    statuses = []; // all that it was
    events = []; // { type, ...data }, as they came
    typing = new Map(); // stream ID to { text, progress }
    lastError = null;

    // path is /events or /secure-events, with a query for those who have no cookie.
    constructor(url, path = '/events', jar = new CookieJar()) {
        Object.assign(this, { url, path, jar });
    }

    async login(username, password) {
        const answer = await this.jar.fetch(`${this.url}/api/login`, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ username, password })
        });
        const data = await answer.json();
        if (!data.success) throw new Error(data.error);
        this.user = data.user;
        return data;
    }

    async logout() {
        const answer = await this.jar.fetch(`${this.url}/api/logout`, { method: 'POST' });
        return answer.json();
    }

    connect() {
        this.#become('connecting');
        const source = new EventSource(this.url + this.path, { fetch: this.jar.fetch, withCredentials: true });
        this.source = source;
        source.onopen = () => this.#become('connected');
        source.onerror = error => {
            this.lastError = error;
            this.#become(source.readyState === EventSource.CLOSED ? 'disconnected' : 'reconnecting');
        };
        source.addEventListener('system', event => this.#add('system', event));
        source.addEventListener('message', event => {
            const { stream_id: id } = this.#add('message', event);
            this.typing.delete(id);
        });
        source.addEventListener('partial-message', event => {
            const data = this.#add('partial-message', event);
            if (data.isComplete) this.typing.delete(data.stream_id);
            else this.typing.set(data.stream_id, { text: data.message, progress: data.progress });
        });
    }

    close() {
        this.source?.close();
        this.#become('disconnected');
    }

    sendMessage(message) { return this.#post('/send-message', message); }
    streamMessage(message) { return this.#post('/stream-message', message); }

    of(type) { return this.events.filter(event => event.type === type); }
    texts() { return this.of('message').map(event => event.message); }

    #add(type, event) {
        const data = JSON.parse(event.data);
        this.events.push({ ...data, type, lastEventId: event.lastEventId });
        return data;
    }

    #become(status) {
        this.status = status;
        this.statuses.push(status);
    }

    async #post(path, message) {
        const answer = await this.jar.fetch(this.url + path, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ message })
        });
        const data = await answer.json();
        if (!data.success) throw new Error(data.error);
        return data;
    }
}
