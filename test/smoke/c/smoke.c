// nats.c against a server with smoke.conf: smoke nats://127.0.0.1:PORT. Ends with 1 at the first surprise.
// cc smoke.c -lnats -o smoke

#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *url;

static void check(int fact, const char *what) {
    if (!fact) {
        fprintf(stderr, "c: %s\n", what);
        exit(1);
    }
}

static void done(const char *scene) { printf("  c: %s\n", scene); }

static natsStatus login(natsConnection **nc, const char *user, const char *password) {
    natsOptions *options = NULL;
    natsOptions_Create(&options);
    natsOptions_SetURL(options, url);
    natsOptions_SetUserInfo(options, user, password);
    natsOptions_SetAllowReconnect(options, false);
    natsStatus status = natsConnection_Connect(nc, options);
    natsOptions_Destroy(options);
    return status;
}

static natsConnection *worker(void) {
    natsConnection *nc = NULL;
    check(login(&nc, "worker", "w0rker") == NATS_OK, "the worker cannot log in");
    return nc;
}

static void answer(natsConnection *nc, natsSubscription *sub, natsMsg *message, void *closure) {
    natsConnection_PublishString(nc, natsMsg_GetReply(message), "answer");
    natsMsg_Destroy(message);
}

#include "streams.c"

int main(int argc, char **argv) {
    url = argc > 1 ? argv[1] : NATS_DEFAULT_URL;

    natsConnection *refused = NULL;
    check(login(&refused, "worker", "wrong") == NATS_CONNECTION_AUTH_FAILED, "a wrong password logged in");
    done("a wrong password is refused");

    natsConnection *one = worker(), *other = worker();
    natsSubscription *flow = NULL;
    natsMsg *message = NULL;
    check(natsConnection_SubscribeSync(&flow, one, "flow.*") == NATS_OK, "no subscription");
    natsConnection_Flush(one);
    for (int number = 0; number < 100; number++) {
        char subject[32], body[32];
        snprintf(subject, sizeof subject, "flow.%d", number);
        snprintf(body, sizeof body, "%d", number);
        natsConnection_PublishString(other, subject, body);
    }
    natsConnection_Flush(other);
    for (int number = 0; number < 100; number++) {
        check(natsSubscription_NextMsg(&message, flow, 5000) == NATS_OK, "a message is missing");
        check(atoi(natsMsg_GetData(message)) == number, "out of order");
        natsMsg_Destroy(message);
    }
    done("messages arrive in order");

    natsSubscription *service = NULL;
    check(natsConnection_Subscribe(&service, one, "svc.echo", answer, NULL) == NATS_OK, "no service");
    natsConnection_Flush(one);
    check(natsConnection_RequestString(&message, other, "svc.echo", "hello", 5000) == NATS_OK, "no answer");
    check(strcmp(natsMsg_GetData(message), "answer") == 0, "another answer");
    natsMsg_Destroy(message);
    done("a request is answered");

    check(natsConnection_RequestString(&message, other, "svc.nobody", "hello", 5000) == NATS_NO_RESPONDERS, "somebody answered");
    done("nobody answers");

    natsSubscription *first = NULL, *second = NULL;
    natsConnection_QueueSubscribeSync(&first, one, "job", "crew");
    natsConnection_QueueSubscribeSync(&second, other, "job", "crew");
    natsConnection_Flush(one);
    natsConnection_Flush(other);
    for (int number = 0; number < 200; number++)
        natsConnection_PublishString(one, "job", "x");
    natsConnection_Flush(one);
    natsConnection_Flush(other);
    int shared = 0;
    while (natsSubscription_NextMsg(&message, first, 200) == NATS_OK || natsSubscription_NextMsg(&message, second, 200) == NATS_OK) {
        natsMsg_Destroy(message);
        shared++;
    }
    check(shared == 200, "lost or doubled");
    done("a queue group shares");

    natsSubscription *head = NULL;
    const char *value = NULL;
    natsMsg *sent = NULL;
    natsConnection_SubscribeSync(&head, one, "head");
    natsMsg_Create(&sent, "head", NULL, "body", 4);
    natsMsgHeader_Set(sent, "A", "Apple");
    natsConnection_PublishMsg(one, sent);
    check(natsSubscription_NextMsg(&message, head, 5000) == NATS_OK, "no message with headers");
    check(natsMsgHeader_Get(message, "A", &value) == NATS_OK && strcmp(value, "Apple") == 0, "another header");
    natsMsg_Destroy(message);
    natsMsg_Destroy(sent);
    done("headers are carried");

    natsConnection *clerk = NULL;
    const char *last = NULL;
    check(login(&clerk, "clerk", "cl3rk") == NATS_OK, "the clerk cannot log in");
    natsConnection_PublishString(clerk, "billing.x", "nope");
    natsConnection_Flush(clerk);
    natsConnection_GetLastError(clerk, &last);
    check(last != NULL && strstr(last, "ermissions Violation for Publish to \"billing.x\"") != NULL, "no violation seen");
    done("a violation is seen");

    jsCtx *js = NULL;
    check(natsConnection_JetStream(&js, one, NULL) == NATS_OK, "no streams");
    streams(js);
    keys(js);
    jsCtx_Destroy(js);

    natsConnection_Drain(one);
    natsConnection_Destroy(clerk);
    natsSubscription_Destroy(flow);
    natsSubscription_Destroy(service);
    natsSubscription_Destroy(first);
    natsSubscription_Destroy(second);
    natsSubscription_Destroy(head);
    natsConnection_Destroy(one);
    natsConnection_Destroy(other);
    nats_Close();
    printf("c: 9 scenes\n");
    return 0;
}
