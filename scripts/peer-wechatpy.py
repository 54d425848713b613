"""What scripts/peer-wechatpy checks, with wechatpy as it comes.

Arguments: what the plain and the TLS simulator printed, and the directory of the certificates.
"""

import os
import sys

import requests
from wechatpy.exceptions import WeChatPayException
from wechatpy.pay import WeChatPay

failures = 0


def check(name, good, seen=""):
    global failures
    print(f"PASS {name}" if good else f"FAIL {name}: {seen}")
    failures += not good


def printed(path):
    with open(path, encoding="utf-8") as lines:
        return dict(line.strip().split("=", 1) for line in lines if not line.startswith("#"))


def client(simulator, key=None, cert=(None, None)):
    pay = WeChatPay(
        appid=simulator["appid"],
        api_key=key or simulator["api_key"],
        mch_id=simulator["mch_id"],
        mch_cert=cert[0],
        mch_key=cert[1],
        timeout=10,
    )
    pay.API_BASE_URL = simulator["base_url"] + "/"
    return pay


def send(pay, number, openid="oPeer0000000000000000000001", amount=100):
    return pay.redpack.send(
        user_id=openid,
        total_amount=amount,
        send_name="天虹百货",
        act_name="新年红包",
        wishing="恭喜发财 & <大吉>",
        remark=number,
        client_ip="127.0.0.1",
        out_trade_no=number,
    )


def send_group(pay, number, openid="oPeer0000000000000000000001", people=3):
    return pay.redpack.send_group(
        user_id=openid,
        total_amount=900,
        send_name="天虹百货",
        act_name="新年红包",
        wishing="恭喜发财 & <大吉>",
        remark=number,
        total_num=people,
        client_ip="127.0.0.1",
        out_trade_no=number,
    )


def code_of(call):
    try:
        call()
    except WeChatPayException as refused:
        return refused.errcode
    return "SUCCESS"


def books(simulator, what):
    return requests.get(f"{simulator['admin_url']}/_sim/{what}", timeout=10).json()


def plain(simulator):
    pay = client(simulator)
    number = simulator["mch_id"] + "202611220000000001"
    first = send(pay, number)
    check("send succeeds", first["result_code"] == "SUCCESS", first)
    check("send echoes number and amount",
          (first["mch_billno"], first["total_amount"]) == (number, "100"), first)
    check("send names a send_listid", bool(first["send_listid"]), first)
    again = send(pay, number)
    check("the same number again has the same result", again == first, again)
    payments = books(simulator, "payments")
    check("the books show one payment and two requests",
          [(p["mch_billno"], p["times_paid"], p["sends"]) for p in payments] == [(number, 1, 2)],
          payments)
    code = code_of(lambda: send(pay, number, openid="oSomebodyElse"))
    check("another openid is FATAL_ERROR", code == "FATAL_ERROR", code)
    code = code_of(lambda: send(pay, number, amount=101))
    check("another amount is PARAM_ERROR", code == "PARAM_ERROR", code)

    found = pay.redpack.query(number)
    check("query finds it", found["status"] in ("SENDING", "SENT"), found)
    check("query gives the texts back", found["wishing"] == "恭喜发财 & <大吉>", found)
    code = code_of(lambda: pay.redpack.query(number[:-1] + "9"))
    check("an unknown number is NOT_FOUND", code == "NOT_FOUND", code)
    taken = number[:-1] + "2"
    send(pay, taken, openid="oSIM-RECEIVED-peer")
    found = pay.redpack.query(taken)
    check("a taken packet lists its receiver", found["status"] == "RECEIVED"
          and found["hblist"]["hbinfo"]["openid"] == "oSIM-RECEIVED-peer", found)

    code = code_of(lambda: send(client(simulator, key="0" * 32), number))
    check("a wrong key is SIGN_ERROR", code == "SIGN_ERROR", code)
    lost = number[:-1] + "3"
    try:
        send(pay, lost, openid="oSIM-RESET_AFTER-peer")
        cut = False
    except requests.exceptions.ConnectionError:
        cut = True
    check("a reset is a connection error", cut)
    check("and its order is paid once all the same",
          send(pay, lost, openid="oSIM-RESET_AFTER-peer")["result_code"] == "SUCCESS"
          and books(simulator, "books")["payments"] == 3, books(simulator, "books"))
    check("no double payment", books(simulator, "books")["double_payments"] == 0)


def group(simulator):
    pay = client(simulator)
    number = simulator["mch_id"] + "202611220000000011"
    first = send_group(pay, number)
    check("group send succeeds", first["result_code"] == "SUCCESS", first)
    check("group send echoes number, amount and people",
          (first["mch_billno"], first["total_amount"], first["total_num"]) == (number, "900", "3"),
          first)
    check("the same group again has the same result", send_group(pay, number) == first)
    code = code_of(lambda: send_group(pay, number, openid="oSomebodyElse"))
    check("a group of another openid is FATAL_ERROR", code == "FATAL_ERROR", code)
    code = code_of(lambda: send_group(pay, number, people=4))
    check("a group of another size is PARAM_ERROR", code == "PARAM_ERROR", code)
    code = code_of(lambda: send_group(pay, number, people=2))
    check("two are no group", code == "PARAM_ERROR", code)
    code = code_of(lambda: send(pay, number, amount=900))
    check("the number of a group is not one for a packet", code == "PARAM_ERROR", code)
    found = pay.redpack.query(number)
    check("query says that it is a group",
          (found["hb_type"], found["total_num"], found["total_amount"]) == ("GROUP", "3", "900"),
          found)

    taken = number[:-1] + "2"
    send_group(pay, taken, openid="oSIM-RECEIVED-peer")
    found = pay.redpack.query(taken)
    receivers = found["hblist"]["hbinfo"]
    check("a taken group lists everybody, the seed user first", found["status"] == "RECEIVED"
          and len(receivers) == 3 and receivers[0]["openid"] == "oSIM-RECEIVED-peer", found)
    check("and the shares add up", sum(int(r["amount"]) for r in receivers) == 900, found)
    left = number[:-1] + "3"
    send_group(pay, left, openid="oSIM-PARTIAL_REFUND-peer")
    found = pay.redpack.query(left)
    check("a share that nobody takes is not listed", found["status"] == "SENT"
          and len(found["hblist"]["hbinfo"]) == 2, found)
    paid = [p["times_paid"] for p in books(simulator, "payments") if p["amount_fen"] == 900]
    check("every group is paid once", paid == [1, 1, 1], paid)
    check("no double payment of a group", books(simulator, "books")["double_payments"] == 0)


def tls(simulator, certs):
    os.environ["REQUESTS_CA_BUNDLE"] = f"{certs}/ca.pem"
    number = simulator["mch_id"] + "202611220000000001"
    pair = (f"{certs}/apiclient_cert.pem", f"{certs}/apiclient_key.pem")
    try:
        send(client(simulator), number)
        refused = False
    except (requests.exceptions.SSLError, requests.exceptions.ConnectionError):
        refused = True
    check("TLS without a client certificate is refused", refused)
    check("and nothing was asked for", books(simulator, "books")["sends"] == 0)
    pay = client(simulator, cert=pair)
    check("TLS with the client certificate sends", send(pay, number)["result_code"] == "SUCCESS")
    found = pay.redpack.query(number)
    check("and queries", found["mch_billno"] == number, found)
    pay.mch_id = "1900000110"
    code = code_of(lambda: send(pay, number))
    check("another merchant's certificate is CA_ERROR", code == "CA_ERROR", code)


plain(printed(sys.argv[1]))
group(printed(sys.argv[1]))
tls(printed(sys.argv[2]), sys.argv[3])
sys.exit(1 if failures else 0)
