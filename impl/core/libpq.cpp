#include "core/libpq.hpp"

#include "core/lazy_library.hpp"

namespace satchel::core {
namespace {

constexpr const char* kFile = "libpq.so.5";

bool find_all(void* library, LibPq& pq) {
  return find_function(library, "PQconninfoParse", pq.conninfo_parse) &&
         find_function(library, "PQconninfoFree", pq.conninfo_free) &&
         find_function(library, "PQconnectStartParams", pq.connect_start_params) &&
         find_function(library, "PQconnectPoll", pq.connect_poll) &&
         find_function(library, "PQfinish", pq.finish) &&
         find_function(library, "PQstatus", pq.status) &&
         find_function(library, "PQsocket", pq.socket) &&
         find_function(library, "PQerrorMessage", pq.error_message) &&
         find_function(library, "PQsetnonblocking", pq.setnonblocking) &&
         find_function(library, "PQsetNoticeProcessor", pq.set_notice_processor) &&
         find_function(library, "PQenterPipelineMode", pq.enter_pipeline_mode) &&
         find_function(library, "PQpipelineSync", pq.pipeline_sync) &&
         find_function(library, "PQsendPrepare", pq.send_prepare) &&
         find_function(library, "PQsendQueryPrepared", pq.send_query_prepared) &&
         find_function(library, "PQsendQueryParams", pq.send_query_params) &&
         find_function(library, "PQflush", pq.flush) &&
         find_function(library, "PQconsumeInput", pq.consume_input) &&
         find_function(library, "PQisBusy", pq.is_busy) &&
         find_function(library, "PQgetResult", pq.get_result) &&
         find_function(library, "PQresultStatus", pq.result_status) &&
         find_function(library, "PQresultErrorField", pq.result_error_field) &&
         find_function(library, "PQntuples", pq.ntuples) &&
         find_function(library, "PQgetvalue", pq.getvalue) &&
         find_function(library, "PQgetlength", pq.getlength) &&
         find_function(library, "PQgetisnull", pq.getisnull) &&
         find_function(library, "PQcmdTuples", pq.cmd_tuples) &&
         find_function(library, "PQclear", pq.clear);
}

Result<void> take(void* library, LibPq& pq) {
  if (find_all(library, pq)) return Ok{};
  return cannot_load(kFile);
}

constinit LazyLibrary<LibPq> library(kFile, take);

}  // namespace

Result<const LibPq*> libpq() { return library.get(); }

}  // namespace satchel::core
