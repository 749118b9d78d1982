import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { TLSSocket, Server as TlsServer } from 'node:tls';
import { status as Code, type ConnectionInjector, Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import type { Address } from '../domain/model.ts';
import { revocationOf } from '../domain/revocations.ts';
import type { RoleRules } from '../domain/roles.ts';
import type { TlsMaterial } from '../domain/tls-material.ts';
import { HealthService as HealthDefinition } from '../gen/grpc/health/v1/health.ts';
import { ServerReflectionService } from '../gen/grpc/reflection/v1/reflection.ts';
import { ServerReflectionService as ServerReflectionAlphaService } from '../gen/grpc/reflection/v1alpha/reflection.ts';
import { AdminServiceService } from '../gen/lb/admin/v1/admin.ts';
import { Authorisation } from './authorisation.ts';
import { CallCounts } from './call-counts.ts';
import { Changes } from './changes.ts';
import { AdminConnections, type ConnectionJudge } from './connections.ts';
import type { AdminContext } from './context.ts';
import type { Refusal } from './errors.ts';
import { HealthService } from './health.ts';
import { type Administrator, KnownAdministrators } from './known-administrators.ts';
import { LockoutGuard } from './lockout.ts';
import { createMutualTlsServer, swapMaterial } from './mutual-tls.ts';
import { Descriptors, reflectionMethods } from './reflection.ts';
import { adminService } from './service.ts';

/** Every service that the admin server serves. */
export const SERVED = [AdminServiceService, HealthDefinition, ServerReflectionService, ServerReflectionAlphaService] as const;

/** As much as a configuration file may have. */
const MAX_REQUEST_BYTES = 16 * 1024 * 1024;
/** As much as lbctl and the client of the package take. */
const MAX_REPLY_BYTES = 64 * 1024 * 1024;

const LIMITS = {
  'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
  'grpc.max_send_message_length': MAX_REPLY_BYTES,
  'grpc.max_concurrent_streams': 100,
  // A reader that has vanished without a word is noticed, and its streams end.
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 20_000,
  'grpc.enable_channelz': 0,
};

const SHUTTING_DOWN: Refusal = { code: Code.UNAVAILABLE, reason: 'SHUTTING_DOWN', message: 'shutting down', field: '' };

/** Where the server listens, as whom, and who may do what. */
export interface AdminStart {
  readonly address: Address;
  readonly material: TlsMaterial;
  readonly roles: RoleRules;
}

/** The admin API on its own port, behind mutual TLS: AdminService, health and reflection. */
export class AdminServer {
  readonly calls = new CallCounts();
  readonly #context: AdminContext;
  readonly #changes: Changes;
  readonly #grpc: GrpcServer;
  readonly #tls: TlsServer;
  readonly #health: HealthService;
  readonly #administrators: KnownAdministrators;
  readonly #authorisation: Authorisation;
  readonly #connections = new AdminConnections();
  readonly #sockets = new Set<Socket>();
  readonly #stopping = new AbortController();
  readonly #unsubscribe: () => void;
  readonly #injector: ConnectionInjector;

  private constructor(
    context: AdminContext,
    { material, roles }: AdminStart,
    { descriptors, administrators }: { readonly descriptors: Descriptors; readonly administrators: KnownAdministrators },
  ) {
    const { authority, log } = context;
    this.#context = context;
    this.#changes = new Changes(authority, log);
    this.#health = new HealthService(log);
    this.#administrators = administrators;
    const guard = new LockoutGuard(roles, administrators);
    this.#authorisation = new Authorisation(authority, roles, this.#connections, {
      admitted: ({ fingerprint, certificate }) => {
        if (certificate !== undefined) administrators.remember(fingerprint, certificate);
      },
      refused: (caller, refusal) => void this.#changes.recordRefused(caller, refusal),
    });
    this.#grpc = new GrpcServer({ ...LIMITS, interceptors: [this.calls.interceptor, this.#authorisation.interceptor] });
    const standing = { guard, connections: this.#connections, mayCall: this.#authorisation.mayCall };
    this.#grpc.addService(AdminServiceService, adminService(context, this.#changes, standing, this.#stopping.signal));
    this.#grpc.addService(HealthDefinition, this.#health.methods);
    this.#grpc.addService(ServerReflectionService, reflectionMethods(descriptors));
    this.#grpc.addService(ServerReflectionAlphaService, reflectionMethods(descriptors));
    // TLS is done here and not by grpc-js, whose credentials know neither revocation lists nor a minimum version.
    this.#injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure());
    this.#tls = createMutualTlsServer(material, log, (socket) => void this.#admit(socket));
    this.#tls.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      this.#connections.accepted(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#unsubscribe = authority.subscribe(({ previous, next }) => {
      if (previous.clients !== next.clients || previous.revocations !== next.revocations) this.#authorisation.recheck();
    });
  }

  /**
   * Listens and serves.
   * @throws when the address cannot be had (an Error with a `code` such as EADDRINUSE), or the material makes no TLS context
   */
  static async start(context: AdminContext, start: AdminStart): Promise<AdminServer> {
    const { authority, log } = context;
    const administrators = await KnownAdministrators.load(authority.archive, start.roles, log);
    const server = new AdminServer(context, start, { descriptors: await Descriptors.load(), administrators });
    await server.#listen(start.address);
    return server;
  }

  /** Where it listens, with the port that was really bound. */
  get address(): Address {
    const bound = this.#tls.address();
    if (bound === null || typeof bound === 'string') throw new Error('the admin server does not listen');
    return { host: bound.address, port: bound.port };
  }

  /** Who administers with a certificate that is not revoked, as far as known. */
  administrators(): readonly Administrator[] {
    const { snapshot } = this.#context.authority;
    return [...this.#administrators.present()].filter(({ identity }) => revocationOf(identity, snapshot) === undefined);
  }

  /**
   * Serves new connections with new material. With a judge, those there are that it refuses open nothing any more, and their streams end;
   * resolves with how many these are. @throws at once when the material is bad; the old one stays
   */
  reload(material: TlsMaterial, judge?: ConnectionJudge): Promise<number> {
    swapMaterial(this.#tls, material);
    return judge === undefined ? Promise.resolve(0) : this.#judgeAnew(judge);
  }

  /** From now on health says NOT_SERVING; everything else goes on. What was counted goes into the audit trail while there is one. */
  drain(): void {
    this.#changes.flush();
    this.#health.drain();
  }

  /** Ends the streams, lets the calls under way finish until the deadline, and closes every connection. */
  async stop(deadlineMs: number): Promise<void> {
    this.drain();
    this.#unsubscribe();
    this.#authorisation.endStreams(SHUTTING_DOWN);
    this.#stopping.abort();
    // Not the callback of tryShutdown: it comes when sessions have begun to close, with calls still under way.
    this.#grpc.tryShutdown(() => undefined);
    const closed = new Promise((resolve) => this.#tls.close(resolve));
    const finished = new AbortController();
    await Promise.race([closed, delay(deadlineMs, undefined, { signal: finished.signal }).catch(() => undefined)]);
    finished.abort();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #judgeAnew(judge: ConnectionJudge): Promise<number> {
    const refused = await this.#connections.judgeAnew(judge);
    this.#authorisation.recheck();
    return refused;
  }

  async #admit(socket: TLSSocket): Promise<void> {
    // While it is judged nobody else listens.
    socket.on('error', () => undefined);
    const { log } = this.#context;
    try {
      const objection = await this.#connections.verified(socket);
      if (socket.destroyed) return;
      if (objection === undefined) {
        this.#injector.injectConnection(socket);
        return;
      }
      log.warn({ from: socket.remoteAddress, error: objection.message }, 'admin handshake failed');
    } catch (err) {
      log.error({ err }, 'an admin connection could not be judged');
    }
    socket.destroy();
  }

  async #listen({ host, port }: Address): Promise<void> {
    try {
      this.#tls.listen({ host, port });
      await once(this.#tls, 'listening');
    } catch (error) {
      this.#unsubscribe();
      this.#grpc.forceShutdown();
      throw error;
    }
    // An accept that fails (EMFILE) costs that one connection.
    this.#tls.on('error', (error) => this.#context.log.error({ err: error }, 'admin listener'));
  }
}
