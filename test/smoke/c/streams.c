// Streams and buckets of keys with nats.c; included by smoke.c.

// A stream keeps, and consumers of every kind read.
static void streams(jsCtx *js) {
    const char *subjects[] = {"c.>"};
    jsStreamConfig config;
    jsErrCode why = 0;
    jsStreamInfo *info = NULL;
    jsStreamConfig_Init(&config);
    config.Name = "C";
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.AllowDirect = true;
    check(js_AddStream(NULL, js, &config, NULL, &why) == NATS_OK && why == 0, "no stream");

    jsPubAck *ack = NULL;
    for (uint64_t number = 1; number <= 100; number++) {
        char body[32];
        snprintf(body, sizeof body, "%d", (int)number);
        check(js_Publish(&ack, js, "c.order", body, (int)strlen(body), NULL, &why) == NATS_OK, "not stored");
        check(ack->Sequence == number && !ack->Duplicate, "another sequence");
        jsPubAck_Destroy(ack);
    }
    jsPubOptions once;
    jsPubOptions_Init(&once);
    once.MsgId = "one";
    for (int time = 0; time < 2; time++) {
        check(js_Publish(&ack, js, "c.once", "x", 1, &once, &why) == NATS_OK, "not stored");
        check(ack->Duplicate == (time == 1), "a duplicate was stored");
        jsPubAck_Destroy(ack);
    }
    jsPubOptions expecting;
    jsPubOptions_Init(&expecting);
    expecting.ExpectLastSeq = 7;
    check(js_Publish(NULL, js, "c.order", "x", 1, &expecting, &why) != NATS_OK, "a wrong expectation was met");
    check(why == JSStreamWrongLastSequenceErr, "another refusal");

    natsSubscription *pull = NULL;
    natsMsgList list = {NULL, 0};
    check(js_PullSubscribe(&pull, js, "c.order", "reader", NULL, NULL, &why) == NATS_OK, "no pull consumer");
    check(natsSubscription_Fetch(&list, pull, 60, 5000, &why) == NATS_OK && list.Count == 60, "another number of messages");
    for (int at = 0; at < list.Count; at++) {
        check(atoi(natsMsg_GetData(list.Msgs[at])) == at + 1, "out of order");
        check(natsMsg_AckSync(list.Msgs[at], NULL, &why) == NATS_OK, "an acknowledgement was not confirmed");
    }
    natsMsgList_Destroy(&list);
    jsConsumerInfo *consumer = NULL;
    check(js_GetConsumerInfo(&consumer, js, "C", "reader", NULL, &why) == NATS_OK, "no consumer");
    check(consumer->NumPending == 40 && consumer->AckFloor.Stream == 60, "another place");
    jsConsumerInfo_Destroy(consumer);
    natsSubscription_Destroy(pull);

    jsSubOptions ordered;
    natsSubscription *pushed = NULL;
    natsMsg *message = NULL;
    jsSubOptions_Init(&ordered);
    ordered.Ordered = true;
    check(js_SubscribeSync(&pushed, js, "c.>", NULL, &ordered, &why) == NATS_OK, "no ordered consumer");
    for (int number = 1; number <= 101; number++) {
        check(natsSubscription_NextMsg(&message, pushed, 5000) == NATS_OK, "not all came in order");
        natsMsg_Destroy(message);
    }
    natsSubscription_Destroy(pushed);

    jsDirectGetMsgOptions last;
    jsDirectGetMsgOptions_Init(&last);
    last.LastBySubject = "c.order";
    check(js_DirectGetMsg(&message, js, "C", NULL, &last) == NATS_OK, "no direct read");
    check(strcmp(natsMsg_GetData(message), "100") == 0, "another last message");
    natsMsg_Destroy(message);
    check(js_GetStreamInfo(&info, js, "C", NULL, &why) == NATS_OK && info->State.Msgs == 101, "another state");
    jsStreamInfo_Destroy(info);
    check(js_DeleteStream(js, "C", NULL, &why) == NATS_OK, "the stream stays");
    done("a stream keeps, consumers read");
}

// A bucket of keys remembers.
static void keys(jsCtx *js) {
    kvConfig config;
    kvStore *bucket = NULL;
    kvWatcher *watch = NULL;
    kvEntry *entry = NULL;
    kvEntryList history = {NULL, 0};
    uint64_t first = 0, second = 0, third = 0;
    kvConfig_Init(&config);
    config.Bucket = "c-keys";
    config.History = 5;
    check(js_CreateKeyValue(&bucket, js, &config) == NATS_OK, "no bucket");
    check(kvStore_WatchAll(&watch, bucket, NULL) == NATS_OK, "no watch");
    check(kvWatcher_Next(&entry, watch, 5000) == NATS_OK && entry == NULL, "the bucket is not empty");
    check(kvStore_CreateString(&first, bucket, "a.b", "1") == NATS_OK, "not created");
    check(kvStore_CreateString(NULL, bucket, "a.b", "1") != NATS_OK, "created twice");
    check(kvStore_UpdateString(&second, bucket, "a.b", "2", first) == NATS_OK, "not updated");
    check(kvStore_UpdateString(&third, bucket, "a.b", "3", first) != NATS_OK, "an old revision was taken");
    check(kvStore_Get(&entry, bucket, "a.b") == NATS_OK && strcmp(kvEntry_ValueString(entry), "2") == 0, "another value");
    kvEntry_Destroy(entry);
    check(kvStore_Delete(bucket, "a.b") == NATS_OK, "not deleted");
    check(kvStore_Get(&entry, bucket, "a.b") == NATS_NOT_FOUND, "it is still there");
    check(kvStore_History(&history, bucket, "a.b", NULL) == NATS_OK && history.Count == 3, "another history");
    kvEntryList_Destroy(&history);
    for (uint64_t revision = first; revision <= second + 1; revision++) {
        check(kvWatcher_Next(&entry, watch, 5000) == NATS_OK && kvEntry_Revision(entry) == revision, "another revision was seen");
        kvEntry_Destroy(entry);
    }
    kvWatcher_Destroy(watch);
    kvStore_Destroy(bucket);
    check(js_DeleteKeyValue(js, "c-keys") == NATS_OK, "the bucket stays");
    done("a bucket of keys remembers");
}
