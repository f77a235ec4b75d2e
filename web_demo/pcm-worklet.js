/**
 * Turns the audio graph's float blocks into ~100 ms frames of 16-bit samples.
 *
 * Posts `{ pcm: ArrayBuffer, rms: number, peak: number }`, the buffer transferred. Told `"flush"`
 * it posts what is left, however short, and then `"flushed"`. `Int16Array` has the machine's byte
 * order: little-endian, as pcm_s16le wants it, wherever browsers run.
 */

const FRAME_MS = 100;

class PcmWorklet extends AudioWorkletProcessor {
  #frame = new Int16Array(Math.round((sampleRate * FRAME_MS) / 1000));
  #filled = 0;
  #energy = 0;
  #peak = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data !== "flush") return;
      if (this.#filled > 0) this.#post();
      this.port.postMessage("flushed");
    };
  }

  /** @param {Float32Array[][]} inputs one input, mixed down to one channel by the graph */
  process([[block]]) {
    if (block === undefined) return true; // no source connected (yet)
    for (const sample of block) {
      this.#frame[this.#filled] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
      this.#filled += 1;
      this.#energy += sample * sample;
      this.#peak = Math.max(this.#peak, Math.abs(sample));
      if (this.#filled === this.#frame.length) this.#post();
    }
    return true;
  }

  #post() {
    const pcm = this.#frame.slice(0, this.#filled).buffer;
    const rms = Math.sqrt(this.#energy / this.#filled);
    this.port.postMessage({ pcm, rms, peak: this.#peak }, [pcm]);
    this.#filled = 0;
    this.#energy = 0;
    this.#peak = 0;
  }
}

registerProcessor("scribewire-pcm", PcmWorklet);
