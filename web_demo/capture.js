/**
 * Live audio, a microphone's or a tab's, as mono 16-bit frames.
 *
 * Events: `frame` (detail `{ samples: Int16Array, rms, peak }`, about ten a second),
 * `ended` (the device or tab is gone), `interrupted` and `resumed` (the system took it away for a while).
 */

const SAMPLE_RATE = 16_000; // what the models hear: a third of the upload of 48 kHz
const MAX_SAMPLE_RATE = 96_000; // the most the gateway takes
const FLUSH_TIMEOUT_MS = 500;

export class Capture extends EventTarget {
  #stream;
  #context;
  #node;
  #source;
  /** @type {Promise<void> | undefined} */
  #closing;

  /**
   * Asks for the microphone and begins to capture.
   * @returns {Promise<Capture>}
   * @throws {DOMException} by name: NotAllowedError, NotFoundError, NotReadableError, SecurityError,
   *   NetworkError (the worklet's file could not be had) …
   */
  static async microphone() {
    // `mediaDevices` is missing on pages that are neither https nor localhost.
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new DOMException("The microphone needs https or localhost.", "SecurityError");
    }
    return open(
      await navigator.mediaDevices.getUserMedia({
        // Recognition does better on what was said than on what a call's filters leave of it.
        audio: { channelCount: 1, autoGainControl: true, echoCancellation: false, noiseSuppression: false },
      }),
    );
  }

  /** Whether this browser can give a tab's audio at all; phones cannot. */
  static get hasTabs() {
    return typeof navigator.mediaDevices?.getDisplayMedia === "function";
  }

  /**
   * Asks for a tab and begins to capture its audio, which stays audible.
   * @returns {Promise<Capture>}
   * @throws {DOMException} as `microphone` does; NotFoundError: what was chosen shares no audio
   */
  static async tab() {
    // Browsers refuse audio alone; the picture is asked for as small as can be, and not looked at.
    const wish = {
      audio: { suppressLocalAudioPlayback: false, echoCancellation: false, noiseSuppression: false },
      video: { width: 16, height: 16, frameRate: 1 },
      selfBrowserSurface: "exclude",
      systemAudio: "include",
    };
    const stream = await navigator.mediaDevices.getDisplayMedia(/** @type {any} */ (wish));
    if (stream.getAudioTracks().length === 0) {
      for (const track of stream.getTracks()) track.stop();
      throw new DOMException("What was chosen shares no audio.", "NotFoundError");
    }
    return open(stream);
  }

  /**
   * @param {MediaStream} stream
   * @param {AudioContext} context with the worklet's module loaded
   * @param {MediaStreamAudioSourceNode} source of the stream in the context
   */
  constructor(stream, context, source) {
    super();
    this.#stream = stream;
    this.#context = context;
    this.#source = source;
    this.#node = new AudioWorkletNode(context, "scribewire-pcm", {
      numberOfInputs: 1,
      channelCount: 1,
      channelCountMode: "explicit",
      channelInterpretation: "speakers",
    });
    this.#node.port.addEventListener("message", ({ data }) => {
      if (data === "flushed") return;
      this.#dispatch("frame", { samples: new Int16Array(data.pcm), rms: data.rms, peak: data.peak });
    });
    this.#node.port.start();
    this.#source.connect(this.#node);
    // Its output is silence, but some browsers run only what leads to the speakers.
    this.#node.connect(context.destination);

    const [track] = stream.getAudioTracks();
    track.addEventListener("ended", () => this.#dispatch("ended"));
    track.addEventListener("mute", () => this.#dispatch("interrupted"));
    track.addEventListener("unmute", () => this.#dispatch("resumed"));
    context.addEventListener("statechange", () => {
      if (context.state === "running") this.#dispatch("resumed");
      else if (context.state !== "closed") this.#dispatch("interrupted");
    });
  }

  /** Hz of the frames. */
  get sampleRate() {
    return this.#context.sampleRate;
  }

  /** Lets the device go, once the frame in hand has been dispatched. */
  close() {
    this.#closing ??= (async () => {
      this.#source.disconnect();
      await this.#flush();
      for (const track of this.#stream.getTracks()) track.stop();
      await this.#context.close();
    })();
    return this.#closing;
  }

  /** @returns {Promise<void>} */
  #flush() {
    return new Promise((resolve) => {
      setTimeout(resolve, FLUSH_TIMEOUT_MS); // a suspended context may never answer
      this.#node.port.addEventListener("message", ({ data }) => data === "flushed" && resolve());
      this.#node.port.postMessage("flush");
    });
  }

  /**
   * @param {string} type
   * @param {unknown} [detail]
   */
  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** @param {MediaStream} stream */
async function open(stream) {
  /** @type {AudioContext | undefined} */
  let context;
  try {
    let source;
    try {
      context = new AudioContext({ latencyHint: "interactive", sampleRate: SAMPLE_RATE });
      source = context.createMediaStreamSource(stream);
    } catch {
      // Firefox does not connect a stream to a context of another rate: the server converts then.
      await context?.close();
      context = new AudioContext({ latencyHint: "interactive" });
      if (context.sampleRate > MAX_SAMPLE_RATE) throw new DOMException("Its rate is too high.", "NotSupportedError");
      source = context.createMediaStreamSource(stream);
    }
    await loadWorklet(context);
    await context.resume();
    return new Capture(stream, context, source);
  } catch (error) {
    for (const track of stream.getTracks()) track.stop();
    if (context?.state !== "closed") await context?.close();
    throw error;
  }
}

/** @param {AudioContext} context */
async function loadWorklet(context) {
  try {
    await context.audioWorklet.addModule("/static/pcm-worklet.js");
  } catch (cause) {
    // Browsers differ in what they throw here; it is the page's own server that did not answer.
    throw new DOMException(String(cause), "NetworkError");
  }
}
