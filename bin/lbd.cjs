#!/usr/bin/env node
'use strict';

require('./launch.cjs')('lbd', 'src/main', false);
