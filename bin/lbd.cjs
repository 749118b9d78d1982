#!/usr/bin/env node
'use strict';

require('./launch.cjs')('lbd', 'src/main', { isShort: false, holdsConnections: process.argv[2] === 'start' });
