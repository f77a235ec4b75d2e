/**
 * What server and browser say to each other: the messages' shapes and the rules about closing.
 *
 * @typedef {"idle" | "connecting" | "open" | "stopping" | "closed"} SessionState
 *
 * @typedef {object} Ready
 * @property {"ready"} type
 * @property {string} session
 * @property {string | number} epoch
 * @property {string} [resume] secret for taking the session up again
 * @property {boolean} [resumed] whether the server still had the session that was named
 * @property {number} [next_sample] from which on audio is to be sent
 * @property {number} [finalizes] how many `finalize` messages were taken
 * @property {string} model
 * @property {number} sample_rate
 * @property {Record<string, any>} options in force
 * @property {{ max_unconfirmed_ms?: number, max_frame_bytes?: number }} [limits]
 *
 * @typedef {object} Partial
 * @property {"partial"} type
 * @property {number} segment
 * @property {number} revision
 * @property {string} stable
 * @property {string} unstable
 * @property {number} start_ms
 * @property {number} end_ms
 * @property {string | null} [language]
 * @property {number} lag_ms
 *
 * @typedef {object} Final
 * @property {"final"} type
 * @property {number} segment
 * @property {string} text
 * @property {boolean} revised
 * @property {number} start_ms
 * @property {number} end_ms
 * @property {string | null} [language]
 * @property {"endpoint" | "finalize" | "length" | "stop" | "drain"} reason
 * @property {string} [id] of the `finalize` it answers
 *
 * @typedef {object} Notice an `error` or a `warning`
 * @property {"error" | "warning"} type
 * @property {string} code
 * @property {string} message
 * @property {string} [id] of the client's message that it answers
 * @property {boolean} [retryable]
 * @property {number} [retry_after_ms]
 * @property {number} [from_ms] with `to_ms` the bounds of an `audio_gap`
 * @property {number} [to_ms]
 * @property {boolean} [local] found by this client, not said by the server
 *
 * @typedef {object} Done
 * @property {"done"} type
 * @property {number} duration_ms
 * @property {number} segments
 *
 * @typedef {object} Disconnected
 * @property {number} attempt 1, 2, 3 …: which reconnection this begins
 * @property {number} retry_in_ms
 * @property {number} code WebSocket close code of what was lost
 * @property {Notice | null} error what the server said before, if it did
 *
 * @typedef {object} Closed
 * @property {number} code WebSocket close code; 1006 when there was no close frame
 * @property {boolean} opened whether the server ever said `ready`
 * @property {Done | null} done the server's last word, if it came
 * @property {Notice | null} error the last error, if there was one
 */

/**
 * @param {unknown} data of a WebSocket message
 * @returns {any} the message; null: not one
 */
export function parse(data) {
  if (typeof data !== "string") return null;
  try {
    const message = JSON.parse(data);
    return typeof message?.type === "string" ? message : null;
  } catch {
    return null;
  }
}

/**
 * Why a handshake was refused. Browsers do not say; a plain request to the same address is refused
 * in the same words, and those may be read.
 * @param {URL} url of the session
 * @param {string | undefined} token
 * @returns {Promise<Notice | null>} null: it was not refused, or nobody answers
 */
export async function askWhyRefused(url, token) {
  const plain = new URL(url);
  plain.protocol = plain.protocol.replace("ws", "http");
  plain.search = "";
  const headers = token ? { Authorization: `Bearer ${token}` } : undefined;
  try {
    return await refusalIn(await fetch(plain, { headers, cache: "no-store", signal: AbortSignal.timeout(3000) }));
  } catch {
    return null; // no network, or a server elsewhere, whose answers are not for this page
  }
}

/**
 * The error in an HTTP answer.
 * @param {Response} reply
 * @returns {Promise<Notice | null>} null: the answer is not the protocol's
 */
export async function refusalIn(reply) {
  if (![401, 403, 429, 503].includes(reply.status)) return null;
  const error = parse(await reply.text());
  return error?.type === "error" ? error : null;
}

/**
 * The protocol's rule: 4000–4499 reconnect, 4500–4999 do not.
 * @param {number} code
 */
export function isRetryable(code) {
  return code >= 4000 ? code < 4500 : code === 1001 || code === 1006 || code === 1011 || code === 1012;
}
