/* GET /healthz. */
#ifndef DEMO_HOST_HEALTH_H
#define DEMO_HOST_HEALTH_H

#include <microhttpd.h>

#include "host.h"

enum MHD_Result health_answer(struct host* host, struct MHD_Connection* connection);

#endif
