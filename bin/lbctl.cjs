#!/usr/bin/env node
'use strict';

require('./launch.cjs')('lbctl', 'cli/main', { isShort: true, holdsConnections: false });
