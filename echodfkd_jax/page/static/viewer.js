// The frames of a clip: shown, played, stepped through.

const DEFAULT_FPS = 25;

export class Viewer {
  // `shown(frame)` hears of every frame that comes on the screen.
  constructor({ shown }) {
    this.shown = shown;
    this.canvas = document.querySelector("#picture");
    this.slider = document.querySelector("#frame");
    this.playButton = document.querySelector("#play");
    this.speed = document.querySelector("#speed");
    this.files = [];
    this.frame = 0;
    this.slider.addEventListener("input", () => this.stopAt(Number(this.slider.value)));
    this.playButton.addEventListener("click", () => this.toggle());
    document.querySelector("#back").addEventListener("click", () => this.stopAt(this.frame - 1));
    document.querySelector("#forward").addEventListener("click", () => this.stopAt(this.frame + 1));
    this.speed.addEventListener("change", () => this.playing && this.play());
  }

  open(files, fps, times) {
    this.pause();
    this.files = files;
    const rate = fps ?? DEFAULT_FPS;
    this.times = times ?? files.map((_, frame) => frame / rate);
    const step = this.times[files.length - 1] / Math.max(files.length - 1, 1) || 1 / rate;
    this.length = this.times[files.length - 1] + step;
    this.slider.max = files.length - 1;
    this.go(0);
  }

  // Frames beyond the last are the first ones.
  go(frame) {
    const count = this.files.length;
    this.frame = ((frame % count) + count) % count;
    this.slider.value = this.frame;
    this.draw();
    this.shown(this.frame);
  }

  stopAt(frame) {
    this.pause();
    this.go(frame);
  }

  async draw() {
    const file = this.files[this.frame];
    const picture = await createImageBitmap(file);
    if (this.files[this.frame] === file) {
      const { width, height } = picture;
      if (this.canvas.width !== width) [this.canvas.width, this.canvas.height] = [width, height];
      this.canvas.getContext("2d").drawImage(picture, 0, 0);
    }
    picture.close();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    this.pause();
    if (this.files.length < 2) return;
    const start = { at: null, time: this.times[this.frame] };
    const tick = (now) => {
      start.at ??= now;
      const since = ((now - start.at) / 1000) * Number(this.speed.value);
      const time = (start.time + since) % this.length;
      let frame = this.times.findLastIndex((value) => value <= time);
      frame = Math.max(frame, 0);
      if (frame !== this.frame) this.go(frame);
      this.playing = requestAnimationFrame(tick);
    };
    this.playing = requestAnimationFrame(tick);
    this.label(true);
  }

  pause() {
    cancelAnimationFrame(this.playing);
    this.playing = null;
    this.label(false);
  }

  label(playing) {
    this.playButton.setAttribute("aria-pressed", playing);
    this.playButton.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.playButton.textContent = playing ? "\u23f8\ufe0e" : "\u25b6\ufe0e";
  }
}
