import type { Finding } from '../doctor/finding.ts';
import type { ProxyStatus } from '../open-proxy.ts';
import type { HostFiles } from './host-files.ts';

/** What a runtime is to be pointed at. */
export interface Target {
  /** `host:port` of the agent, as this host reaches it. */
  readonly endpoint: string;
  /** The registries the agent serves. */
  readonly origins: readonly string[];
  /** The agent's forward proxy, when the runtime is to use that as well. */
  readonly proxy?: ProxyStatus | undefined;
}

/** A host, as the steps of a runtime see it: files as they were before setup, and programs where they can be run. */
export interface Host {
  readonly files: Pick<HostFiles, 'root' | 'read' | 'list' | 'exists'>;
  /** What a program of the host prints; undefined when it is not there, fails, or belongs to another root. */
  run(program: string, args: readonly string[]): Promise<string | undefined>;
  /** What a socket of the host answers to a GET; undefined when nothing does. */
  get(socket: string, path: string): Promise<unknown>;
  /** Sends a process of the host SIGHUP; false when it belongs to another root. */
  hangUp(pid: number): boolean;
}

/** A file as it is to be. */
export interface Edit {
  readonly path: string;
  readonly text: string;
}

/** What makes a runtime pull through the agent. */
export interface Plan {
  readonly edits: readonly Edit[];
  /** What was found out, and what the choice can and cannot do. */
  readonly findings: readonly Finding[];
}

/** How a runtime asks the agent: how its requests name the origin. */
export type Dialect = 'default' | 'ns' | 'prefix';

/** One runtime: where its files are, and what to do to them. Everything else is the same for all. */
export interface Runtime {
  readonly name: string;
  /** The folder of its configuration; the record of what was done lies in it. */
  readonly folder: string;
  readonly programs: readonly string[];
  readonly dialect: Dialect;
  /** Reads what is there and changes nothing. Throws `setup_refused` where a person has to decide. */
  plan(target: Target, host: Host): Promise<Plan>;
  /** Has the running runtime read what was changed, where that is safe, and says what it sees or what is left to do. */
  activate(target: Target, changed: readonly string[], host: Host): Promise<readonly Finding[]>;
  /** What the running runtime says of what it reads; nothing where it cannot be asked. */
  observe(target: Target, host: Host): Promise<readonly Finding[]>;
  /** Has the runtime itself pull an image by digest, and leaves nothing of it behind; undefined when it cannot be asked here. */
  pull(image: string, host: Host): Promise<boolean | undefined>;
}
