/** The calls about whole configurations in the benchmark of the admin API. */
import * as proto from '../src/gen/lb/admin/v1/admin.ts';

const TIMES = 3;

/** What these calls are made with: `call` resolves with the answer, `time` tells what each took. */
export interface Caller {
  readonly client: proto.AdminServiceClient;
  readonly call: <T>(make: (done: (error: Error | null, answer: T) => void) => unknown) => Promise<T>;
  readonly time: (call: string, count: number, make: (index: number) => Promise<unknown>) => Promise<void>;
}

/** Exports, plans, applies and goes back: with a few differences, and with everything different. */
export async function configurations({ client, call, time }: Caller): Promise<void> {
  const exported = () => call<proto.ExportConfigResponse>((done) => client.exportConfig({}, done));
  const plan = (config: string) => call<proto.PlanConfigResponse>((done) => client.planConfig({ config }, done));
  const apply = (config: string, requestId = '') =>
    call<proto.ApplyConfigResponse>((done) => client.applyConfig(proto.ApplyConfigRequest.fromPartial({ config, requestId }), done));
  const rollBack = (toRevision: bigint) =>
    call<proto.RollbackConfigResponse>((done) => client.rollbackConfig(proto.RollbackConfigRequest.fromPartial({ toRevision }), done));
  const revisions = () => call<proto.ListRevisionsResponse>((done) => client.listRevisions({ pageSize: 100, pageToken: '' }, done));

  const { config, revision } = await exported();
  console.log(`the configuration has ${(Buffer.byteLength(config) / 1e6).toFixed(1)} MB`);
  const changed = (index: number) => config.replace('maxDelay: 5s', `maxDelay: ${index + 1}s`).replace('retries: 3', `retries: ${index}`);
  await time('ExportConfig', TIMES, exported);
  await time('ListRevisions, 100 with updates', TIMES, revisions);
  await time('PlanConfig, no difference', TIMES, () => plan(config));
  await time('PlanConfig, two differences', TIMES, () => plan(changed(1)));
  await time('ApplyConfig, two differences', TIMES, (index) => apply(changed(index), `apply-${index}`));
  await time('RollbackConfig, two differences', TIMES, () => rollBack(revision));
  const other = (index: number) => config.replaceAll('client-', `customer${index}-`).replaceAll('group-', `pool${index}-`);
  await time('PlanConfig, everything different', TIMES, () => plan(other(0)));
  await time('ApplyConfig, everything different', TIMES, (index) => apply(other(index)));
}
