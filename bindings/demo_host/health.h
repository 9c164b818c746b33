/* What the host says of itself: GET /healthz and GET /metrics. */
#ifndef DEMO_HOST_HEALTH_H
#define DEMO_HOST_HEALTH_H

#include <microhttpd.h>

#include "host.h"

enum MHD_Result health_answer(struct host* host, struct MHD_Connection* connection);
/* The library's counters, in the Prometheus text format. */
enum MHD_Result metrics_answer(struct host* host, struct MHD_Connection* connection);

#endif
