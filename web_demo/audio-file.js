/** An audio or video file, decoded by the browser, as mono 16-bit frames. */

const SAMPLE_RATE = 16_000;
const FRAME = SAMPLE_RATE / 2;
const MAX_BYTES = 1_000_000_000; // a file is decoded in memory as a whole

export class AudioFile {
  #buffer;

  /**
   * @param {File} file
   * @returns {Promise<AudioFile>}
   * @throws {DOMException} by name: EncodingError, NotReadableError, QuotaExceededError
   */
  static async open(file) {
    if (file.size > MAX_BYTES) throw new DOMException("The file is too large.", "QuotaExceededError");
    const bytes = await file.arrayBuffer();
    // Decoding converts to the rate of the context that decodes.
    const context = new OfflineAudioContext(1, 1, SAMPLE_RATE);
    const buffer = await context.decodeAudioData(bytes);
    if (buffer.length === 0) throw new DOMException("There is no sound in it.", "EncodingError");
    return new AudioFile(buffer);
  }

  /** @param {AudioBuffer} buffer */
  constructor(buffer) {
    this.#buffer = buffer;
  }

  get sampleRate() {
    return this.#buffer.sampleRate;
  }

  get durationMs() {
    return this.#buffer.duration * 1000;
  }

  /** @returns {Generator<Int16Array<ArrayBuffer>>} all of it, half a second at a time */
  *frames() {
    const { length, numberOfChannels: channels } = this.#buffer;
    const block = new Float32Array(FRAME);
    for (let at = 0; at < length; at += FRAME) {
      const count = Math.min(FRAME, length - at);
      const sum = new Float32Array(count);
      for (let channel = 0; channel < channels; channel += 1) {
        this.#buffer.copyFromChannel(block, channel, at);
        for (let i = 0; i < count; i += 1) sum[i] += block[i];
      }
      yield Int16Array.from(sum, (value) => {
        const sample = Math.round((value / channels) * 32768);
        return Math.max(-32768, Math.min(32767, sample));
      });
    }
  }
}
