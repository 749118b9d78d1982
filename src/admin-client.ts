/** What the package exports as `./admin`: the typed client and the messages of the admin API. */
export * from './gen/lb/admin/v1/admin.ts';
