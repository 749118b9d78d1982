/** Which target group a connection goes to, and whether its client may. Decided anew for each connection. */
import type { Client, Listener } from './model.ts';
import type { RefusalReason } from './reasons.ts';

/** What the TLS handshake said about where the client wants to go. */
export interface Requested {
  /** undefined: the client sent no SNI. Lower-case. */
  readonly sni: string | undefined;
  /** The protocol that was agreed on; undefined: none was offered. */
  readonly alpn: string | undefined;
}

/** `rule` says in words which rule decided, for the log and Explain. */
export type Decision =
  | { readonly allowed: true; readonly targetGroup: string; readonly rule: string }
  | { readonly allowed: false; readonly reason: RefusalReason; readonly rule: string };

/** The listener's own group, else its first route that matches, else the client's only group; then the permission. */
export function decide(client: Client, listener: Listener, requested: Requested): Decision {
  const routed = routeOf(client, listener, requested);
  if (!('targetGroup' in routed)) return { allowed: false, reason: 'no_route', rule: routed.rule };
  if (!client.allowedTargetGroups.includes(routed.targetGroup)) {
    const rule = `${routed.rule}; ${client.clientId} may reach only ${client.allowedTargetGroups.join(', ')}`;
    return { allowed: false, reason: 'not_authorized', rule };
  }
  return { allowed: true, targetGroup: routed.targetGroup, rule: routed.rule };
}

function routeOf(client: Client, listener: Listener, requested: Requested): { targetGroup: string; rule: string } | { rule: string } {
  if (listener.targetGroup !== undefined)
    return { targetGroup: listener.targetGroup, rule: `listener ${listener.name} serves ${listener.targetGroup}` };
  const index = listener.routes.findIndex(
    (route) =>
      (route.sni === undefined || sniMatches(route.sni, requested.sni)) && (route.alpn === undefined || route.alpn === requested.alpn),
  );
  const route = listener.routes[index];
  if (route !== undefined) return { targetGroup: route.targetGroup, rule: `route ${index} of listener ${listener.name}` };
  const [only, ...others] = client.allowedTargetGroups;
  if (only !== undefined && others.length === 0) return { targetGroup: only, rule: `the only group of ${client.clientId}` };
  return {
    rule: `no route of listener ${listener.name} matches, and ${client.clientId} may reach ${client.allowedTargetGroups.length} groups`,
  };
}

function sniMatches(pattern: string, sni: string | undefined): boolean {
  if (sni === undefined) return false;
  const wanted = pattern.toLowerCase();
  if (!wanted.startsWith('*.')) return wanted === sni;
  const dot = sni.indexOf('.');
  return dot > 0 && sni.slice(dot) === wanted.slice(1);
}
