// The marks of a case: several per landmark, with undo and redo. Knows no picture.

import { joinLabel } from "./markups.js";
import { nameByPlace, scheme } from "./naming.js";

export class Marks {
  #done = [];
  #undone = [];

  /** `landmarks`: [{name, side}] in order from head to feet; `middle`: x in mm of the image's middle. */
  constructor(landmarks, middle) {
    this.landmarks = landmarks;
    this.scheme = scheme(landmarks);
    this.byPlace = this.scheme !== null && landmarks.length > 1;
    this.middle = middle;
    this.list = [];
    this.stamp = 0;
  }

  #set(list) {
    this.#done.push(this.list);
    this.#undone = [];
    this.list = this.byPlace ? nameByPlace(list, this.scheme, this) : list;
    this.stamp++;
  }

  add(mm, landmark) { this.#set([...this.list, { name: "", side: "", ...landmark, mm }]); }
  remove(mark) { this.#set(this.list.filter((other) => other !== mark)); }
  rename(mark, landmark) {
    this.byPlace = false;
    this.#set(this.list.map((other) => (other === mark ? { ...other, ...landmark } : other)));
  }

  load(list) {
    this.list = list;
    [this.#done, this.#undone] = [[], []];
    this.stamp++;
  }

  get changed() { return this.#done.length > 0; }
  undo() { return this.#move(this.#done, this.#undone); }
  redo() { return this.#move(this.#undone, this.#done); }

  #move(from, to) {
    const list = from.pop();
    if (!list) return false;
    to.push(this.list);
    this.list = list;
    this.stamp++;
    return true;
  }

  /** Landmarks of the list that have no mark yet. */
  missing() {
    const found = new Set(this.list.map(joinLabel));
    return this.landmarks.filter((landmark) => !found.has(joinLabel(landmark)));
  }
}
