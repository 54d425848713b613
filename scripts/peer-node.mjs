// What scripts/peer-node checks, with wechatpay-axios-plugin and tenpay as they come.
//
// Arguments: what the plain and the TLS simulator printed, and the directory of the certificates.

import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.PEER_MODULES}/`);
const { Wechatpay } = require('wechatpay-axios-plugin');
const Tenpay = require('tenpay');

const unused = generateKeyPairSync('rsa', { modulusLength: 2048 });
const GREETING = '恭喜发财 & <大吉>';
let failures = 0;

function check(name, good, seen) {
  console.log(good ? `PASS ${name}` : `FAIL ${name}: ${JSON.stringify(seen)}`);
  failures += good ? 0 : 1;
}

function printed(path) {
  const lines = readFileSync(path, 'utf8').split('\n').filter((line) => /^\w+=/.test(line));
  return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)));
}

async function books(simulator, what) {
  return (await fetch(`${simulator.admin_url}/_sim/${what}`)).json();
}

async function paymentsOf(simulator, number) {
  return (await books(simulator, 'payments')).filter((payment) => payment.mch_billno === number);
}

// What a send says whoever sends it; the rest is the SDK's business.
function order(number, openid, fields) {
  return {
    mch_billno: number,
    send_name: '天虹百货',
    re_openid: openid,
    total_amount: 100,
    wishing: GREETING,
    act_name: '新年红包',
    remark: number,
    ...fields,
  };
}

// One SDK behind the calls that are checked: what it is answered, and the code of a refusal.
function axiosPlugin(simulator, { certificate, secret } = {}) {
  const { mch_id: mchid, appid } = simulator;
  // The half for V3 cannot be left out; nothing here uses it.
  const wxpay = new Wechatpay({
    mchid,
    baseURL: `${simulator.base_url}/`,
    secret: secret ?? simulator.api_key,
    serial: 'merchant',
    privateKey: unused.privateKey,
    certs: { provider: unused.publicKey },
    ...(certificate && { merchant: certificate }),
  });
  const post = async (path, fields, more) => {
    const options = { security: Boolean(certificate), ...more };
    const { data } = await wxpay.v2.mmpaymkttransfers[path].post({ mch_id: mchid, ...fields }, options);
    return data;
  };
  return {
    name: 'wechatpay-axios-plugin',
    normal: (fields) => post('sendredpack', {
      wxappid: appid, total_num: 1, client_ip: '127.0.0.1', ...fields,
    }),
    group: (fields, more) => post('sendgroupredpack', {
      wxappid: appid, amt_type: 'ALL_RAND', ...fields,
    }, more),
    mini: (fields) => post('sendminiprogramhb', {
      wxappid: appid, total_num: 1, notify_way: 'MINI_PROGRAM_JSAPI', ...fields,
    }),
    query: (number) => post('gethbinfo', { mch_billno: number, appid, bill_type: 'MCHT' }),
    // The SDK has codes of its own: this one is for refusals, whose code is in the reply.
    code: (error) => (error.code === 'EV2_RES_STATUS_CODE_NOT_SUCESS'
      ? error.response.data.err_code : error.code),
  };
}

function tenpay(simulator, { pfx } = {}) {
  const payment = new Tenpay({
    appid: simulator.appid, mchid: simulator.mch_id, partnerKey: simulator.api_key, pfx,
  });
  for (const call of ['sendredpack', 'sendgroupredpack', 'gethbinfo']) {
    payment.urls[call] = `${simulator.base_url}/mmpaymkttransfers/${call}`;
  }
  return {
    name: 'tenpay',
    normal: (fields) => payment.sendRedpack(fields),
    group: (fields) => payment.sendGroupRedpack(fields),
    query: (number) => payment.redpackQuery({ mch_billno: number }),
    code: (error) => error.message,
  };
}

async function refusal(sdk, call) {
  try {
    await call();
    return 'SUCCESS';
  } catch (error) {
    return sdk.code(error);
  }
}

// A kind of packet: sent, sent again, asked for.
async function sends(simulator, sdk, kind, number, fields) {
  const what = `${sdk.name}: ${kind}`;
  const request = () => sdk[kind](order(number, `oPeer${kind}`, fields));
  const first = await request();
  check(`${what} send succeeds and echoes`, first.result_code === 'SUCCESS'
    && first.mch_billno === number && first.re_openid === `oPeer${kind}`
    && first.total_amount === String(fields.total_amount ?? 100)
    && Boolean(first.send_listid), first);
  const again = await request();
  check(`${what} again is the same result`, JSON.stringify(again) === JSON.stringify(first), again);
  const paid = await paymentsOf(simulator, number);
  check(`${what} is one payment and two requests in the books`, paid.length === 1
    && paid[0].times_paid === 1 && paid[0].sends === 2, paid);
  const found = await sdk.query(number);
  check(`${what} is found`, ['SENDING', 'SENT'].includes(found.status)
    && found.wishing === GREETING
    && found.hb_type === (kind === 'group' ? 'GROUP' : 'NORMAL'), found);
  const code = await refusal(sdk, () => sdk[kind](order(number, 'oSomebodyElse', fields)));
  check(`${what} to another openid is FATAL_ERROR`, code === 'FATAL_ERROR', code);
  return first;
}

async function shares(simulator, sdk, number) {
  const division = { total_amount: 900, total_num: 3 };
  await sdk.group(order(number, 'oSIM-PARTIAL_REFUND-peer', division));
  const { hblist, ...found } = await sdk.query(number);
  check(`${sdk.name}: two of three shares are taken, the seed user's first`, found.status === 'SENT'
    && found.total_num === '3' && hblist.hbinfo.length === 2
    && hblist.hbinfo[0].openid === 'oSIM-PARTIAL_REFUND-peer', hblist);
  const two = { ...division, total_num: 2 };
  const code = await refusal(sdk, () => sdk.group(order(number, 'oSIM-PARTIAL_REFUND-peer', two)));
  check(`${sdk.name}: two are no group`, code === 'PARAM_ERROR', code);
}

async function plain(simulator, sdk, digit) {
  const number = (n) => `${simulator.mch_id}20261122${digit}${String(n).padStart(9, '0')}`;
  await sends(simulator, sdk, 'normal', number(1), {});
  const group = await sends(simulator, sdk, 'group', number(2), { total_amount: 900, total_num: 3 });
  check(`${sdk.name}: a group reply is signed`, group.sign?.length === 32, group);
  await shares(simulator, sdk, number(3));
  if (sdk.mini) {
    const mini = await sends(simulator, sdk, 'mini', number(4), {});
    check(`${sdk.name}: a mini-program gets its package`, /^sendid%3D/.test(mini.package), mini);
  }
  const code = await refusal(sdk, () => sdk.query(number(9)));
  check(`${sdk.name}: an unknown number is NOT_FOUND`, code === 'NOT_FOUND', code);
  const totals = await books(simulator, 'books');
  check(`${sdk.name}: no double payment`, totals.double_payments === 0, totals);
}

// That this SDK accepts a group reply proves something only if it refuses a forged one.
async function verifies(simulator) {
  const sdk = axiosPlugin(simulator);
  const number = `${simulator.mch_id}202611223000000001`;
  const forging = async (config) => {
    const url = new URL(config.url, config.baseURL);
    const reply = await fetch(url, { method: 'POST', body: config.data });
    const data = (await reply.text()).replace('>900<', '>901<');
    return { data, status: reply.status, headers: {}, config };
  };
  const fields = order(number, 'oPeer', { total_amount: 900, total_num: 3 });
  const forged = await refusal(sdk, () => sdk.group(fields, { adapter: forging }));
  check(`${sdk.name}: a forged group reply is refused`, forged === 'EV2_RES_SIGNATURE_NOT_EQUAL', forged);
  const genuine = await refusal(sdk, () => sdk.group(fields));
  check(`${sdk.name}: and the genuine one is not`, genuine === 'SUCCESS', genuine);
  const wrong = axiosPlugin(simulator, { secret: '0'.repeat(32) });
  const code = await refusal(wrong, () => wrong.normal(order(number, 'oPeer', {})));
  check(`${sdk.name}: a wrong key is SIGN_ERROR`, code === 'SIGN_ERROR', code);
}

async function tls(simulator, bare, sdk, digit) {
  const number = (n) => `${simulator.mch_id}20261122${digit}${String(n).padStart(9, '0')}`;
  const before = await books(simulator, 'books');
  const refused = await refusal(bare, () => bare.normal(order(number(1), 'oPeer', {})));
  check(`${sdk.name}: TLS without the client certificate is refused`, refused !== 'SUCCESS', refused);
  const after = await books(simulator, 'books');
  check(`${sdk.name}: and nothing was asked for`, after.sends === before.sends, after);
  const sent = await sdk.normal(order(number(1), 'oPeer', {}));
  check(`${sdk.name}: TLS with the client certificate sends`, sent.result_code === 'SUCCESS', sent);
  const group = await sdk.group(order(number(2), 'oPeer', { total_amount: 900, total_num: 3 }));
  check(`${sdk.name}: and sends to groups`, group.total_num === '3', group);
  const found = await sdk.query(number(2));
  check(`${sdk.name}: and queries`, found.mch_billno === number(2), found);
}

const [plainOut, tlsOut, certs] = process.argv.slice(2);
const file = (name) => readFileSync(`${certs}/${name}`);
const over = { plain: printed(plainOut), tls: printed(tlsOut) };
const certificate = { cert: file('apiclient_cert.pem'), key: file('apiclient_key.pem') };

await plain(over.plain, axiosPlugin(over.plain), 1);
await plain(over.plain, tenpay(over.plain), 2);
await verifies(over.plain);
await tls(over.tls, axiosPlugin(over.tls), axiosPlugin(over.tls, { certificate }), 3);
await tls(over.tls, tenpay(over.tls), tenpay(over.tls, { pfx: file('apiclient_cert.p12') }), 4);
process.exit(failures > 0 ? 1 : 0);
