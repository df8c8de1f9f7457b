import type { Others } from '@drayage/registry';
import { type Address, isLoopback, parseAddress } from './address.ts';
import { type Option, one } from './option.ts';

/** What an operator says of the forward proxy. */
export interface ProxyOptions {
  /** Undefined: there is no proxy. */
  readonly proxyListen: Address | undefined;
  readonly proxyOthers: Others;
}

type Rows = { readonly [K in keyof ProxyOptions]: Option<ProxyOptions[K]> };

export const PROXY_OPTIONS: Rows = {
  proxyListen: {
    flag: 'proxy-listen',
    env: 'DRAYAGE_PROXY_LISTEN',
    value: 'ADDR',
    fallback: 'none',
    help: 'forward proxy for runtimes that know only `HTTPS_PROXY`; on loopback only. None: no proxy, no authority',
    initial: () => undefined,
    parse: one(loopbackAddress),
  },
  proxyOthers: {
    flag: 'proxy-others',
    env: 'DRAYAGE_PROXY_OTHERS',
    value: 'WAY',
    fallback: 'tunnel',
    help: "what the proxy does with hosts that are no origins: `tunnel`, or `refuse` all but the origins' token hosts",
    initial: () => 'tunnel',
    parse: one(others),
  },
};

/** Whoever reaches the proxy goes out in this host's name, and is answered by our certificates if it trusts them. */
function loopbackAddress(text: string): Address {
  const address = parseAddress(text);
  if (isLoopback(address.host)) return address;
  throw new Error('must be a loopback address such as 127.0.0.1:5054: whoever reaches the proxy goes out as this host');
}

function others(text: string): Others {
  if (text !== 'tunnel' && text !== 'refuse') throw new Error('must be tunnel or refuse');
  return text;
}
