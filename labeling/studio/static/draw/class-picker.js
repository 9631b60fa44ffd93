// <class-picker>: a field to type the class of a box, known or new.

import {el, swatch} from '../lib/dom.js';

/** Opened with `ask`; closes by itself. */
export class ClassPicker extends HTMLElement {
  #done = null;
  #names = [];
  #at = 0;
  #field = el('input', {type: 'text', maxlength: 100, autocomplete: 'off', spellcheck: 'false', role: 'combobox', 'aria-label': 'Class', 'aria-expanded': 'true', 'aria-controls': 'class-choices', 'aria-autocomplete': 'list'});
  #list = el('ul', {id: 'class-choices', role: 'listbox', 'aria-label': 'Classes'});
  #before = null;

  connectedCallback() {
    this.hidden = true;
    this.append(this.#field, this.#list);
    this.#field.addEventListener('input', () => { this.#at = 0; this.#fill(); });
    this.#field.addEventListener('keydown', (event) => this.#key(event));
    this.#field.addEventListener('blur', () => this.#close(null));
  }

  /**
   * Ask for a class.
   * @param {string[]} names Classes to choose from.
   * @param {[number, number]} place On the page, px.
   * @param {{colorOf: function(string): string, hint: string}} options
   * @returns {Promise<string|null>} The class; null if the person gave up.
   */
  ask(names, [x, y], {colorOf, hint = 'class'}) {
    this.#close(null);
    this.#before = document.activeElement;
    [this.#names, this.#at, this.colorOf] = [names, 0, colorOf];
    this.#field.value = '';
    this.#field.placeholder = hint;
    this.hidden = false;
    this.#fill();
    const {width, height} = this.getBoundingClientRect();
    this.style.left = `${Math.max(8, Math.min(x, innerWidth - width - 8))}px`;
    this.style.top = `${Math.max(8, Math.min(y, innerHeight - height - 8))}px`;
    this.#field.focus();
    return new Promise((done) => { this.#done = done; });
  }

  /** Give up. */
  cancel() { this.#close(null); }

  #choices() {
    const typed = this.#field.value.trim(), low = typed.toLowerCase();
    const found = this.#names.filter((name) => name.toLowerCase().includes(low));
    const fit = (name) => (name === typed ? 2 : Number(name.toLowerCase().startsWith(low)));
    found.sort((one, other) => fit(other) - fit(one));
    return typed && !this.#names.includes(typed) ? [...found, typed] : found;
  }

  #fill() {
    const choices = this.#choices();
    this.#at = Math.min(this.#at, Math.max(0, choices.length - 1));
    this.#list.replaceChildren(...choices.map((name, at) => {
      const known = this.#names.includes(name);
      return el('li', {id: `class-choice-${at}`, role: 'option', 'aria-selected': String(at === this.#at), onpointerdown: (event) => { event.preventDefault(); this.#close(name); }},
        swatch(known ? this.colorOf(name) : 'transparent'), name, known ? null : el('small', {}, 'new'));
    }));
    if (choices.length) this.#field.setAttribute('aria-activedescendant', `class-choice-${this.#at}`);
    else this.#field.removeAttribute('aria-activedescendant');
    this.#list.children[this.#at]?.scrollIntoView({block: 'nearest'});
  }

  #key(event) {
    const choices = this.#choices();
    if (event.key === 'Enter' || event.key === 'Tab') this.#close(choices[this.#at] ?? null);
    else if (event.key === 'Escape') this.#close(null);
    else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      this.#at = (this.#at + (event.key === 'ArrowDown' ? 1 : -1) + choices.length) % Math.max(1, choices.length);
      this.#fill();
    } else return;
    event.preventDefault();
  }

  #close(name) {
    if (!this.#done) return;
    const done = this.#done;
    this.#done = null;
    this.hidden = true;
    if (this.#before?.isConnected) this.#before.focus({preventScroll: true});
    done(name);
  }
}

customElements.define('class-picker', ClassPicker);
