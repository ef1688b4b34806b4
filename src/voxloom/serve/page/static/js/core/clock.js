// Seconds a person works on a case: time with the page in front and a hand on it, pauses left out.

const PAUSE = 60000; // ms without any input that end a stretch of work

export class Clock {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.spent = 0;
    this.last = null;
    this.touch = () => {
      if (document.hidden) return;
      const at = this.now();
      if (this.last !== null && at - this.last < PAUSE) this.spent += at - this.last;
      this.last = at;
    };
    this.events = ["pointerdown", "pointermove", "wheel", "keydown"];
    this.events.forEach((name) => document.addEventListener(name, this.touch, { passive: true, capture: true }));
  }

  seconds() { return Math.round(this.spent / 100) / 10; }
  restart() { this.spent = 0; }
  stop() { this.events.forEach((name) => document.removeEventListener(name, this.touch, { capture: true })); }
}
