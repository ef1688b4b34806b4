// Undo and redo: which voxels a step changed, from what and to what. Knows no tool and no picture.

const MOST = 60_000_000; // changed voxels kept in all; the oldest steps go first

export class History {
  #done = [];
  #undone = [];
  #kept = 0;

  get canUndo() { return this.#done.length > 0; }
  get canRedo() { return this.#undone.length > 0; }
  get steps() { return this.#done.length; }

  /** Keep a step {at: Uint32Array, before, after: Uint8Array, name}; what was undone is forgotten. */
  add(step) {
    this.#undone = [];
    this.#done.push(step);
    this.#kept += step.at.length;
    while (this.#kept > MOST && this.#done.length > 1) this.#kept -= this.#done.shift().at.length;
  }

  undo(bitmap) { return this.#move(this.#done, this.#undone, bitmap, "before"); }
  redo(bitmap) { return this.#move(this.#undone, this.#done, bitmap, "after"); }

  #move(from, to, bitmap, side) {
    const step = from.pop();
    if (!step) return null;
    to.push(step);
    for (let n = 0; n < step.at.length; n++) bitmap[step.at[n]] = step[side][n];
    return step;
  }
}
