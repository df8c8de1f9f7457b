import type { Flag } from './arguments.ts';
import type { Command } from './command.ts';
import { CONFIG_FLAG, CONFIG_HELP, OPTIONS } from './options.ts';

const JSON_FLAG: Flag = { flag: 'json', help: 'print JSON, for programs' };
const HELP_FLAG: Flag = { flag: 'help', help: 'print this' };
const AGENT_FLAGS: readonly Flag[] = [
  { ...CONFIG_FLAG, help: `${CONFIG_HELP} [${CONFIG_FLAG.fallback}]` },
  ...Object.values(OPTIONS).map(({ flag, value, help, fallback }) => ({ flag, value, help: `${help} [${fallback}]` })),
  JSON_FLAG,
  HELP_FLAG,
];
const CLIENT_FLAGS: readonly Flag[] = [
  { flag: OPTIONS.admin.flag, value: OPTIONS.admin.value, help: `the agent to ask [${OPTIONS.admin.fallback}]` },
  JSON_FLAG,
  HELP_FLAG,
];
const SETUP_FLAGS: readonly Flag[] = [
  { flag: 'dry-run', help: 'change nothing, and show what would change' },
  { flag: 'undo', help: 'put every file back as it was before' },
  { flag: 'proxy', help: "docker: go out by the agent's proxy as well, for registries whose names cannot change" },
  { flag: 'root', value: 'DIR', help: "where the host's root is, such as /host in a container [/]" },
  { flag: 'offline', help: 'ask no agent: take its address and origins from the options, as the agent does' },
  {
    flag: 'canary',
    value: 'IMAGE',
    help: 'the image to check with [the last one the agent resolved, else hello-world]',
  },
];
const FOLLOW_FLAG: Flag = { flag: 'follow', help: 'stay, and show how they go on' };
const PLATFORM_FLAG: Flag = { flag: 'platform', value: 'OS/ARCH', help: "one platform, or all [this machine's]" };

const client = { positionals: [], flags: CLIENT_FLAGS, readsOptions: false } as const;
const ofOptions = { positionals: [], flags: AGENT_FLAGS, readsOptions: true } as const;

/** Every command. What does it is loaded when it is called, so that help and small commands are quick. */
export const COMMANDS: readonly Command[] = [
  {
    ...ofOptions,
    name: 'agent',
    summary: 'run an agent in the foreground',
    run: async (call) => (await import('./commands/agent.ts')).agent(call),
  },
  {
    ...client,
    name: 'status',
    summary: 'say how the agent is',
    run: async (call) => (await import('./commands/status.ts')).status(call),
  },
  {
    ...client,
    name: 'pulls',
    summary: 'list the blobs that are being fetched, or were lately',
    flags: [FOLLOW_FLAG, ...CLIENT_FLAGS],
    run: async (call) => (await import('./commands/pulls.ts')).pulls(call),
  },
  {
    ...client,
    name: 'pull',
    summary: 'fetch an image into the store',
    positionals: ['REFERENCE'],
    flags: [PLATFORM_FLAG, ...CLIENT_FLAGS],
    run: async (call) => (await import('./commands/pull.ts')).pull(call),
  },
  {
    ...client,
    name: 'images',
    summary: 'list the images this host has resolved, and what it holds of them',
    run: async (call) => (await import('./commands/held.ts')).images(call),
  },
  {
    ...client,
    name: 'blobs',
    summary: 'list the blobs in the store, the latest used first',
    run: async (call) => (await import('./commands/held.ts')).blobs(call),
  },
  {
    ...client,
    name: 'rm',
    summary: 'remove a blob from the store',
    positionals: ['DIGEST'],
    run: async (call) => (await import('./commands/held.ts')).remove(call),
  },
  {
    ...client,
    name: 'verify',
    summary: 'hash every blob of the store again',
    run: async (call) => (await import('./commands/verify.ts')).verify(call),
  },
  {
    ...client,
    name: 'members',
    summary: 'list the other members of the swarm',
    run: async (call) => (await import('./commands/members.ts')).members(call),
  },
  {
    ...client,
    name: 'explain',
    summary: 'say where the bytes of a blob or an image came from',
    positionals: ['DIGEST|REFERENCE'],
    run: async (call) => (await import('./commands/explain.ts')).explain(call),
  },
  {
    name: 'key',
    summary: 'make a swarm key: hosts that have it help each other',
    positionals: ['new', '[FILE]'],
    flags: [JSON_FLAG, HELP_FLAG],
    readsOptions: false,
    run: async (call) => (await import('./commands/key.ts')).key(call),
  },
  {
    ...ofOptions,
    name: 'setup',
    summary: 'have a runtime pull through the agent, or undo that',
    positionals: ['docker|containerd|podman'],
    flags: [
      ...SETUP_FLAGS,
      ...AGENT_FLAGS.filter(({ flag }) =>
        ['config', 'listen', 'admin', 'data', 'proxy-listen', 'origin', 'json', 'help'].includes(flag),
      ),
    ],
    run: async (call) => (await import('./commands/setup.ts')).setup(call),
  },
  {
    ...ofOptions,
    name: 'doctor',
    summary: 'check the way from the runtime through the agent to the origins, and say what to do',
    run: async (call) => (await import('./commands/doctor.ts')).doctor(call),
  },
  {
    name: 'completion',
    summary: 'print what makes a shell complete these commands',
    positionals: ['bash|zsh|fish'],
    flags: [JSON_FLAG, HELP_FLAG],
    readsOptions: false,
    run: async (call) => (await import('./commands/completion.ts')).completion(call, COMMANDS),
  },
];
