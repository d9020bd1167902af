/**
 * The pages, in the order of their tabs; README.md says how one is added.
 *
 * @typedef {object} Page
 * @property {string} id  its address below the page's own: "clients" is #/clients
 * @property {string} title  what its tab says
 * @property {(root: HTMLElement, model: import("./bus.js").Model, view: any) => void} show  draws it into `root`
 */

import { clients } from "./clients.js";
import { images } from "./images.js";
import { network } from "./network.js";
import { overview } from "./overview.js";
import { settings } from "./settings.js";

/** @type {Page[]} */
export const PAGES = [overview, clients, images, network, settings];
