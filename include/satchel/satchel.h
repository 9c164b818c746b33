/*
 * satchel.h - the whole contract of libsatchel.so, in C.
 *
 * WHAT IT IS FOR
 * A proxy for language models, written in any language, loads this library into
 * its own process and hands it the bytes it has anyway. The library starts no event
 * loop and installs no signal handler. It opens no socket but the cascade's and those
 * that a configuration asks for: a tokenizer, an index or a store on other machines.
 *
 * HOW TO READ IT
 * Every call that can fail returns a satchel_status: 0 is success, a positive
 * value is an answer that is no error, a negative one is an error. Details go
 * into an optional satchel_error that the caller owns; NULL is allowed.
 * What a function names as its answers is what it has to say itself. Any call may
 * answer besides: ERR_ARGUMENT, ERR_HANDLE, ERR_BUSY and ERR_FORKED as told below,
 * ERR_MEMORY, ERR_IO where the system gives it no thread, ERR_INTERNAL. A host that
 * takes every negative number for "it did not work" is right.
 *
 * MEMORY
 * Inputs are borrowed for the duration of the call. Outputs are either views,
 * valid until the event their comment names, or a satchel_buffer that the caller
 * gives back with satchel_buffer_free. Handles are released with the function
 * named beside them, which sets the caller's variable to NULL and accepts NULL.
 * Releasing needs no memory. It answers ERR_BUSY, and leaves the handle open, where
 * it would wait for the caller himself: inside a callback that runs for the handle,
 * or on a thread of the library. A satchel_prompt, satchel_outcome, satchel_usage,
 * satchel_usage_filter and satchel_tool_result is only data: it can be released there
 * too.
 *
 * THREADS
 * Any thread may use any handle at any time, with one exception: a
 * satchel_request, a satchel_usage_filter, a satchel_tool_lease and a
 * satchel_tool_writer are used by one thread at a time (different threads may
 * take turns). A second thread that comes in meanwhile gets SATCHEL_ERR_BUSY;
 * nothing breaks. Closing a handle waits for the calls that are inside it; those that
 * wait for another machine's answer or another's lease return early. Calls that come
 * later get SATCHEL_ERR_HANDLE. A callback of the host cannot be broken off: two that
 * each close the handle the other one runs for wait for one another.
 *
 * FORK
 * A child process does not inherit open handles: calls on them return
 * SATCHEL_ERR_FORKED, releasing them is a no-op. The child opens its own.
 *
 * EVOLUTION
 * A struct that a caller fills or receives starts with struct_size; set it to
 * sizeof the struct (the *_INIT macros do). Fields are added only at the end,
 * functions only added, numbers never reused. Symbols are versioned. A struct whose
 * struct_size cannot be right is ERR_ARGUMENT and is not read any further: where it
 * is a table of callbacks, or points to some, no release is called.
 *
 * All texts are UTF-8 with a length, not NUL-terminated, unless said otherwise; NULL
 * with length 0 is the empty one. Bytes that are no UTF-8 break nothing. All lengths
 * are bytes. All times are nanoseconds, unless a name says otherwise (_ms, _us, _s).
 */
#ifndef SATCHEL_SATCHEL_H
#define SATCHEL_SATCHEL_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define SATCHEL_API
#else
#define SATCHEL_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ version */

#define SATCHEL_VERSION_MAJOR 0
#define SATCHEL_VERSION_MINOR 1
#define SATCHEL_VERSION_PATCH 0
#define SATCHEL_VERSION_STRING "0.1.0"

/* Grows by one whenever a function or a field is added. A program built against
 * ABI n runs with every library whose satchel_abi_version() is n or more. */
#define SATCHEL_ABI_VERSION 1

/* The library's version, NUL-terminated, static. Any thread, never fails. */
SATCHEL_API const char* satchel_version(void);

/* The ABI the library was built with; compare with SATCHEL_ABI_VERSION. */
SATCHEL_API uint32_t satchel_abi_version(void);

/* ------------------------------------------------------------------- status */

typedef int32_t satchel_status;

enum {
  SATCHEL_OK = 0,

  /* answers that are no errors */
  SATCHEL_PASS_THROUGH = 1, /* not the library's business: send it as it is */
  SATCHEL_REJECTED = 2,     /* the client's mistake: answer with the body given */
  SATCHEL_UNCHANGED = 3,    /* nothing to edit: use what you passed in */
  SATCHEL_NOT_HANDLED = 4,  /* from a callback: use the built-in instead */
  SATCHEL_MISS = 5,         /* there is no such entry */
  SATCHEL_INVALIDATED = 6,  /* there is one, but a file it depends on has changed */
  SATCHEL_LEASED = 7,       /* the caller's turn to compute it */
  SATCHEL_WAIT = 8,         /* somebody else is computing it */
  SATCHEL_NOT_STORED = 9,   /* fine, but not kept: the message says why */
  SATCHEL_OVERSIZED = 10,   /* too large to be hashed */
  SATCHEL_PENDING = 11,     /* the rest comes once classification has ended */

  /* errors */
  SATCHEL_ERR_ARGUMENT = -1,    /* a NULL, a wrong struct_size, a value out of range */
  SATCHEL_ERR_HANDLE = -2,      /* the handle is NULL, closed, or none of ours */
  SATCHEL_ERR_STATE = -3,       /* right call, wrong moment */
  SATCHEL_ERR_CONFIG = -4,      /* the configuration: the message names the key */
  SATCHEL_ERR_MEMORY = -5,      /* an allocation failed */
  SATCHEL_ERR_IO = -6,          /* the operating system said no: see os_errno */
  SATCHEL_ERR_BUSY = -7,        /* another thread is inside, or a callback of it is */
  SATCHEL_ERR_CALLBACK = -8,    /* a callback of the host failed */
  SATCHEL_ERR_FORKED = -9,      /* the handle belongs to the parent process */
  SATCHEL_ERR_STREAM = -10,     /* the response cannot go on: break the connection */
  SATCHEL_ERR_JSON = -11,       /* the text is not JSON */
  SATCHEL_ERR_TIMEOUT = -12,    /* not done within the time given */
  SATCHEL_ERR_LIMIT = -13,      /* larger than a configured bound */
  SATCHEL_ERR_INTERNAL = -14,   /* a defect of the library: please report it */
  SATCHEL_ERR_INTEGRITY = -15,  /* stored bytes do not match their hash */
  SATCHEL_ERR_META = -16,       /* what is stored beside a payload cannot be read */
  SATCHEL_ERR_NO_SPACE = -17,   /* disk or quota full */
  SATCHEL_ERR_UNAVAILABLE = -18 /* nothing is known: error.reason says why */
};

/* The constant's name without the prefix ("ERR_CONFIG"), NUL-terminated, static;
 * "UNKNOWN" for a number this library does not have. Any thread. */
SATCHEL_API const char* satchel_status_name(satchel_status status);

/* -------------------------------------------------------------------- error */

/* What satchel_error.reason says when a cache_control marker is at fault. (After
 * SATCHEL_ERR_UNAVAILABLE it is a SATCHEL_USAGE_ERROR_*.)
 * Names and messages agree with the reference (dwctl, prompt_cache/parse.rs). */
enum {
  SATCHEL_MARKER_NONE = 0,
  SATCHEL_MARKER_JSON = 1,
  SATCHEL_MARKER_TOO_MANY_BREAKPOINTS = 2,
  SATCHEL_MARKER_INVALID_TTL = 3,
  SATCHEL_MARKER_UNSUPPORTED_TYPE = 4,
  SATCHEL_MARKER_DISABLED_TIER = 5,
  SATCHEL_MARKER_MALFORMED = 6,
  SATCHEL_MARKER_AUTOMATIC_TTL_CONFLICT = 7,
  SATCHEL_MARKER_NO_AUTOMATIC_SLOT = 8
};

/* Filled by a call that did not return SATCHEL_OK; left alone otherwise. The
 * caller owns it, so that threads, fibres and goroutines may move freely. */
typedef struct satchel_error {
  size_t struct_size;
  satchel_status status;
  int32_t os_errno; /* 0, or errno of the failed system call */
  int32_t reason;   /* SATCHEL_MARKER_* or SATCHEL_USAGE_ERROR_*, or 0 */
  int32_t reserved;
  char message[488]; /* NUL-terminated; cut at a character when longer */
} satchel_error;

#define SATCHEL_ERROR_INIT                   \
  {                                          \
    sizeof(satchel_error), 0, 0, 0, 0, { 0 } \
  }

/* Writes the bytes of SATCHEL_ERROR_INIT; for languages without macros. */
SATCHEL_API void satchel_error_init(satchel_error* error);

/* ---------------------------------------------------------- views, buffers */

/* Bytes that somebody else owns. */
typedef struct satchel_view {
  const char* data;
  size_t len;
} satchel_view;

/* Bytes the library made for the caller. Start with SATCHEL_BUFFER_INIT. A call
 * that fills a buffer which still holds bytes frees those first. */
typedef struct satchel_buffer {
  char* data;
  size_t len;
  void* owner; /* the library's; do not touch */
} satchel_buffer;

#define SATCHEL_BUFFER_INIT \
  { NULL, 0, NULL }

/* Frees the bytes and empties the buffer. NULL and empty buffers are fine. */
SATCHEL_API void satchel_buffer_free(satchel_buffer* buffer);

/* --------------------------------------------------------- the host's parts */

/* A header's name, compared without regard to case, and its value. This struct
 * stands in arrays and never grows. */
typedef struct satchel_http_header {
  satchel_view name;
  satchel_view value;
} satchel_http_header;

/* What the library asks another machine. Views are valid until the callback
 * returns; header values may be secrets: log none of them. */
typedef struct satchel_http_request {
  size_t struct_size;
  satchel_view method; /* "GET" */
  satchel_view url;
  const satchel_http_header* headers;
  size_t header_count;
  satchel_view body;
  uint64_t max_body;   /* bytes of the answer's body that are taken, decoded */
  uint32_t timeout_ms; /* for everything, from now on */
  uint32_t reserved;
} satchel_http_request;

/* An answer that the http callback fills; valid until it returns. */
typedef struct satchel_http_answer satchel_http_answer;

SATCHEL_API satchel_status satchel_http_status_set(satchel_http_answer* answer, int32_t status);
/* Adds a header of the answer. Copied. */
SATCHEL_API satchel_status satchel_http_header_add(satchel_http_answer* answer, const char* name,
                                                   size_t name_len, const char* value,
                                                   size_t value_len);
/* Adds bytes to the body, decoded (no gzip). Copied. ERR_LIMIT: more than max_body,
 * give up. */
SATCHEL_API satchel_status satchel_http_body_add(satchel_http_answer* answer, const char* data,
                                                 size_t len);

enum { SATCHEL_LOG_DEBUG = 0, SATCHEL_LOG_INFO = 1, SATCHEL_LOG_WARN = 2, SATCHEL_LOG_ERROR = 3 };

/*
 * What the host lends to every engine. Each member may be NULL: the built-in
 * works alone. Rules for every callback in this header:
 *  - it may run on several threads at once, also on the library's own;
 *  - it must return: no longjmp, no exception, no thread exit;
 *  - it reports failure by a negative status; SATCHEL_NOT_HANDLED asks for the
 *    built-in;
 *  - it may use other handles. Closing the handle it was called for gets
 *    SATCHEL_ERR_BUSY, using the same request, the same cascade or the same tool
 *    cache, its leases and its writers gets SATCHEL_ERR_BUSY; so does using any
 *    cascade or tool cache on one of the library's own threads. To have another
 *    thread do it, and to wait for that, blocks both;
 *  - texts it is given are valid until it returns.
 */
typedef struct satchel_host {
  size_t struct_size;
  void* user; /* handed to every callback of this table */
  /* Called once, when the library will not use the table again: after the last
   * handle that needs it is closed, or before satchel_open returns an error. */
  void (*release)(void* user);
  /* Nanoseconds since 1970-01-01 UTC. Built in: the system clock. A failure is
   * logged and the built-in used. */
  satchel_status (*clock)(void* user, int64_t* unix_ns);
  /* Nanoseconds since any fixed point, never going back. */
  satchel_status (*monotonic)(void* user, int64_t* ns);
  /* One line, no newline at its end. Built in: standard error. */
  void (*log)(void* user, int32_t level, const char* component, size_t component_len,
              const char* message, size_t message_len);
  /* Sends a request and fills the answer; follows no redirect. OK with a status set:
   * an answer, of whatever status. ERR_TIMEOUT: not done in time. Any other error: no
   * answer. Built in: libcurl, loaded when first needed. */
  satchel_status (*http)(void* user, const satchel_http_request* request,
                         satchel_http_answer* answer);
} satchel_host;

#define SATCHEL_HOST_INIT \
  { sizeof(satchel_host), NULL, NULL, NULL, NULL, NULL, NULL }

SATCHEL_API void satchel_host_init(satchel_host* host);

/* What engines share: the clock, the log, the way to other machines. */
typedef struct satchel_library satchel_library;

/*
 * Opens the library for one host.
 *   host     copied; NULL for the built-ins.
 *   config   JSON object; NULL or length 0 for the defaults. Keys:
 *              "log_level": "debug" | "info" | "warn" (default) | "error" | "off"
 *   out      the handle; satchel_close releases it.
 * Returns OK, ERR_ARGUMENT, ERR_CONFIG (unknown key, wrong type: named),
 * ERR_MEMORY. Any thread.
 */
SATCHEL_API satchel_status satchel_open(const satchel_host* host, const char* config,
                                        size_t config_len, satchel_library** out,
                                        satchel_error* error);

/*
 * Closes and sets *library to NULL. Engines opened from it stay usable until they
 * are closed themselves. Returns OK, also for NULL; ERR_BUSY inside one of its
 * own callbacks (the handle stays open); ERR_HANDLE for what is no open handle.
 */
SATCHEL_API satchel_status satchel_close(satchel_library** library);

/* ==========================================================================
 *                              THE PROMPT CACHE
 *
 * Which prefix of this prompt was seen before (read), which is new (creation,
 * by TTL tier), written into the response's usage. A cache, never a ledger:
 * every failure ends in "no caching, full price".
 *
 * A request walks through in the order in which a proxy has the data:
 *
 *   satchel_request_new        method, target, who is asking
 *   satchel_request_body       -> what to send upstream | pass | reject
 *      ... the upstream is called ...
 *   satchel_request_classify   optional, beside the upstream call; or, where nobody
 *                              may wait, satchel_request_classify_start
 *   satchel_request_response   status and type -> what to do with the length
 *   satchel_request_write      bytes from upstream -> bytes for the client
 *   satchel_request_end        or satchel_request_abort
 *   satchel_request_result     the counts, at any time
 *   satchel_request_free
 *
 * Any call may be the last before satchel_request_free. A request that is freed
 * without satchel_request_end has been aborted: nothing is committed.
 * ========================================================================== */

typedef struct satchel_prompt_cache satchel_prompt_cache;

/* Answers that callbacks fill through the functions beside them. An answer is
 * valid until its callback returns. */
typedef struct satchel_principal_answer satchel_principal_answer;
typedef struct satchel_model_answer satchel_model_answer;
typedef struct satchel_versions_answer satchel_versions_answer;
typedef struct satchel_counts_answer satchel_counts_answer;
typedef struct satchel_render_answer satchel_render_answer;

/* Names the principal: the customer whose entries these are. Copied. */
SATCHEL_API satchel_status satchel_principal_set(satchel_principal_answer* answer, const char* id,
                                                 size_t id_len);

/* Whether the model takes part, and how many tokens a prefix needs to be cached. */
SATCHEL_API satchel_status satchel_model_set(satchel_model_answer* answer, int32_t enabled,
                                             uint32_t min_prefix_tokens);

/* Adds one model the tokenizer knows. template_version may be NULL, 0. Copied. */
SATCHEL_API satchel_status satchel_versions_add(satchel_versions_answer* answer, const char* model,
                                                size_t model_len, const char* tokenizer_version,
                                                size_t tokenizer_version_len,
                                                const char* template_version,
                                                size_t template_version_len);

/* Sets the tokens up to and including each segment (cumulative). Copied. */
SATCHEL_API satchel_status satchel_counts_set(satchel_counts_answer* answer,
                                              const uint32_t* cumulative, size_t count);

/* The part of a prompt that ends with a breakpoint, both included; a member that
 * does not apply is -1. Ordinals count from 0, in the messages as they are given. */
typedef struct satchel_prefix {
  int64_t tools;         /* this many tools, and no message */
  int64_t message;       /* all tools, and the messages up to this one: */
  int64_t message_block; /* of its content no more than up to this block */
  int64_t tool_call;     /* of its tool calls no more than up to this one */
} satchel_prefix;

/* A prompt to be written out by the model's chat template, as it is sent upstream. */
typedef struct satchel_render_request {
  size_t struct_size;
  satchel_view messages; /* JSON, usually an array */
  satchel_view tools;    /* JSON; NULL, 0: the body has none */
  const satchel_prefix* prefixes;
  size_t prefix_count;
  uint32_t timeout_ms; /* the answer is not waited for any longer */
  uint32_t reserved;
} satchel_render_request;

/* For satchel_render_set: the template refuses this prefix. */
#define SATCHEL_NOT_COUNTED (-1)

/* Sets the tokens of the whole prompt, with what makes the model answer
 * (add_generation_prompt), and of each prefix without it, in the order asked;
 * SATCHEL_NOT_COUNTED or from 0 to 2^32 - 1. Copied. ERR_ARGUMENT: another value. */
SATCHEL_API satchel_status satchel_render_set(satchel_render_answer* answer, uint32_t total,
                                              const int64_t* prefix_counts, size_t count);

/* Why a prompt cannot be rendered. */
enum {
  SATCHEL_RENDER_UNMAPPED = 1,    /* the model is not known: nothing is cached */
  SATCHEL_RENDER_NO_TEMPLATE = 2, /* the model has none: segments are counted instead */
  SATCHEL_RENDER_FAILED = 3       /* the template refuses this prompt: likewise */
};

/* Says so; reason is a SATCHEL_RENDER_*. The callback then returns OK. */
SATCHEL_API satchel_status satchel_render_fail(satchel_render_answer* answer, int32_t reason);

/* Who is asking. Built in: "key-" + the first 32 hex digits of SHA-256 over the
 * API key. */
typedef struct satchel_principals {
  size_t struct_size;
  void* user;
  void (*release)(void* user);
  /* OK without satchel_principal_set: nobody known, the request stays uncached. */
  satchel_status (*resolve)(void* user, const char* api_key, size_t api_key_len,
                            satchel_principal_answer* answer);
} satchel_principals;

#define SATCHEL_PRINCIPALS_INIT \
  { sizeof(satchel_principals), NULL, NULL, NULL }

/* What holds for a model. Built in: the table "models" of the configuration. */
typedef struct satchel_models {
  size_t struct_size;
  void* user;
  void (*release)(void* user);
  /* OK without satchel_model_set: the model is not enabled. */
  satchel_status (*resolve)(void* user, const char* model, size_t model_len,
                            satchel_model_answer* answer);
} satchel_models;

#define SATCHEL_MODELS_INIT \
  { sizeof(satchel_models), NULL, NULL, NULL }

/* Who counts tokens. Built in: an estimate from bytes (four bytes a token,
 * rounded down), version "estimate-bytes4-1"; or the service that "tokenizer" of
 * the configuration names. versions and tokenize both, or neither. */
typedef struct satchel_tokenizer {
  size_t struct_size;
  void* user;
  void (*release)(void* user);
  /* Lists the models it knows, at least the one asked for; remembered for 300 s.
   * OK without that one: it is not mapped, the request caches nothing. An error:
   * out of reach, not remembered. */
  satchel_status (*versions)(void* user, const char* model, size_t model_len,
                             satchel_versions_answer* answer);
  /* Counts the texts, special tokens not added, so that counts add up. */
  satchel_status (*tokenize)(void* user, const char* model, size_t model_len,
                             const satchel_view* segments, size_t segment_count,
                             satchel_counts_answer* answer);
  /* Optional; asked where "exact" of the configuration is on and versions named a
   * template of the model: counts the prompt as the template writes it. A prefix is
   * rendered without generation prompt. An error, or OK without
   * satchel_render_set or satchel_render_fail: out of reach, nothing is cached;
   * NOT_HANDLED: as SATCHEL_RENDER_NO_TEMPLATE. */
  satchel_status (*render)(void* user, const char* model, size_t model_len,
                           const satchel_render_request* request, satchel_render_answer* answer);
} satchel_tokenizer;

#define SATCHEL_TOKENIZER_INIT \
  { sizeof(satchel_tokenizer), NULL, NULL, NULL, NULL, NULL }

/* A prefix that was seen: its hash, and what is known of it. */
typedef struct satchel_entry {
  size_t struct_size;
  uint8_t hash[32];
  uint64_t cumulative_token_count;
  int64_t expires_at; /* Unix nanoseconds */
  int32_t tier;       /* SATCHEL_TIER_* */
  int32_t reserved;
} satchel_entry;

#define SATCHEL_ENTRY_INIT \
  { sizeof(satchel_entry), {0}, 0, 0, 0, 0 }

/* Entries of different scopes never meet. */
typedef struct satchel_scope {
  size_t struct_size;
  satchel_view principal;
  satchel_view model; /* as the client named it */
  satchel_view tokenizer_version;
  uint8_t id[16]; /* the three condensed: equal for equal scopes, on every machine */
} satchel_scope;

/* All that one request changes. */
typedef struct satchel_commit {
  size_t struct_size;
  const satchel_scope* scope;
  const satchel_entry* entries; /* upserts: count, tier and expiry are replaced */
  size_t entry_count;
  const uint8_t* refresh_hash; /* 32 bytes, or NULL: the entry whose expiry is set */
  int64_t refresh_expires_at;  /* Unix nanoseconds; of an entry that exists, no other is made */
} satchel_commit;

typedef struct satchel_index_answer satchel_index_answer;

/* Adds one entry that was found. Copied. */
SATCHEL_API satchel_status satchel_index_add(satchel_index_answer* answer,
                                             const satchel_entry* entry);

/* The host's own index. Built in: what the configuration's "index" says, which does not count where
 * there is one of these. The library queues commits, writes them on a thread of its own, and shows
 * them to lookups while they wait, so that commit may be slow; find may not. Both or neither. */
typedef struct satchel_index {
  size_t struct_size;
  void* user;
  void (*release)(void* user);
  /* Adds all entries of these hashes (hash_count times 32 bytes, the longest prefix first) that the
   * scope has and that expire after live_after, Unix nanoseconds, in any order. From any thread,
   * several at once. ERR_BUSY and every other error: nothing can be said, the request goes on
   * uncached. */
  satchel_status (*find)(void* user, const satchel_scope* scope, const uint8_t* hashes,
                         size_t hash_count, int64_t live_after, satchel_index_answer* answer);
  /* Takes a commit whole, or fails without harm: ERR_BUSY, ERR_IO, ERR_TIMEOUT and ERR_UNAVAILABLE
   * are tried again until "commit_deadline_ms" is over, with all that came after it, so that a
   * commit may come twice; other errors drop it. *refreshed is set to 1 where the entry to refresh
   * was there. From one thread of the library at a time. What is expired may be dropped at any
   * time. */
  satchel_status (*commit)(void* user, const satchel_commit* commit, int32_t* refreshed);
  /* Drops every entry. May be NULL: then satchel_prompt_cache_forget answers ERR_UNAVAILABLE. */
  satchel_status (*clear)(void* user);
} satchel_index;

#define SATCHEL_INDEX_INIT \
  { sizeof(satchel_index), NULL, NULL, NULL, NULL, NULL }

/* The parts the host replaces; each pointer may be NULL. Tables are copied. */
typedef struct satchel_prompt_parts {
  size_t struct_size;
  const satchel_principals* principals;
  const satchel_models* models;
  const satchel_tokenizer* tokenizer;
  const satchel_index* index;
} satchel_prompt_parts;

#define SATCHEL_PROMPT_PARTS_INIT \
  { sizeof(satchel_prompt_parts), NULL, NULL, NULL, NULL }

SATCHEL_API void satchel_principals_init(satchel_principals* principals);
SATCHEL_API void satchel_models_init(satchel_models* models);
SATCHEL_API void satchel_tokenizer_init(satchel_tokenizer* tokenizer);
SATCHEL_API void satchel_index_init(satchel_index* index);
SATCHEL_API void satchel_prompt_parts_init(satchel_prompt_parts* parts);

/*
 * Opens a prompt cache.
 *   library  lends its clock and log.
 *   parts    NULL for the built-ins. Each table's release runs once, also when
 *            this call fails.
 *   config   JSON object, all keys optional; docs/configuration.md has them with
 *            their defaults. The most common:
 *              "index": {"kind": "memory"}                      (the default)
 *              "index": {"kind": "sqlite", "path": "/dir"}      shared by processes
 *              "models": {"*": {"enabled": true, "min_prefix_tokens": 1024}}
 *   out      satchel_prompt_cache_close releases it.
 * An index that cannot be opened is no error: it is logged, requests go on
 * uncached, and it is tried again. Returns OK, ERR_HANDLE, ERR_ARGUMENT,
 * ERR_CONFIG, ERR_MEMORY, ERR_IO (no thread can be started). Any thread.
 */
SATCHEL_API satchel_status satchel_prompt_cache_open(satchel_library* library,
                                                     const satchel_prompt_parts* parts,
                                                     const char* config, size_t config_len,
                                                     satchel_prompt_cache** out,
                                                     satchel_error* error);

/*
 * Closes and sets *cache to NULL. Waits for calls inside, then at most the
 * configured "commit_deadline_ms" for commits handed over; what is not written by
 * then is dropped and logged. Requests still open answer SATCHEL_ERR_HANDLE from
 * then on and are freed as ever. Returns as satchel_close.
 */
SATCHEL_API satchel_status satchel_prompt_cache_close(satchel_prompt_cache** cache);

/* Waits until all commits handed over before this call are in the index.
 * OK, or ERR_TIMEOUT after timeout_ms milliseconds. Any thread. */
SATCHEL_API satchel_status satchel_prompt_cache_flush(satchel_prompt_cache* cache,
                                                      uint32_t timeout_ms, satchel_error* error);

/* Drops every entry of the index, for all principals. OK; ERR_BUSY where the index was
 * kept busy for ten seconds, by another process or a slow server; ERR_UNAVAILABLE, the
 * host's index has no `clear`; any other error says what the index answered. What is
 * written meanwhile may stay. Any thread. */
SATCHEL_API satchel_status satchel_prompt_cache_forget(satchel_prompt_cache* cache,
                                                       satchel_error* error);

/* The largest request body it takes, in bytes; a longer one is rejected. A host
 * that stops reading there passes what it has, one byte more than this. */
SATCHEL_API satchel_status satchel_prompt_cache_max_body(satchel_prompt_cache* cache,
                                                         uint64_t* bytes, satchel_error* error);

/* What the index has done since it was opened, by this process. */
typedef struct satchel_index_counts {
  size_t struct_size;
  uint64_t lookups;
  uint64_t lookup_failures; /* answered as "no caching" */
  uint64_t hits;
  uint64_t entries_written;
  uint64_t entries_refreshed;
  uint64_t entries_dropped;     /* not written: full, damaged, queue full */
  uint64_t entries_swept;       /* expired, or over the size bound */
  uint64_t entries_waiting;     /* handed over, not yet written */
  uint64_t lookups_turned_away; /* failures for want of a free connection */
  uint64_t write_retries;
} satchel_index_counts;

#define SATCHEL_INDEX_COUNTS_INIT \
  { sizeof(satchel_index_counts), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

SATCHEL_API satchel_status satchel_prompt_cache_index_counts(satchel_prompt_cache* cache,
                                                             satchel_index_counts* counts,
                                                             satchel_error* error);

/* Counters and histograms of this process in the Prometheus text format, all names
 * beginning with satchel_prompt_cache_. Labels have fixed values; a model's name is
 * one only where the configuration's "models" has it. *out as of every
 * satchel_buffer. Any thread. */
SATCHEL_API satchel_status satchel_prompt_cache_metrics(satchel_prompt_cache* cache,
                                                        satchel_buffer* out, satchel_error* error);

/* ---------------------------------------------------------------- a request */

typedef struct satchel_request satchel_request;

/* Who asks for what. Empty views are fine. The first of principal, api_key and
 * authorization that is not empty says who is asking. */
typedef struct satchel_request_head {
  size_t struct_size;
  satchel_view method;        /* "POST" */
  satchel_view target;        /* "/v1/chat/completions?x=y" */
  satchel_view authorization; /* the header's value, "Bearer sk-..." */
  satchel_view api_key;       /* the key alone, where the host has it */
  satchel_view principal;     /* who it is, where the host knows: no callback */
} satchel_request_head;

#define SATCHEL_REQUEST_HEAD_INIT                                                         \
  {                                                                                       \
    sizeof(satchel_request_head), {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, { NULL, 0 } \
  }

SATCHEL_API void satchel_request_head_init(satchel_request_head* head);

/*
 * Begins a request. Copies what it keeps of the head; the API key is wiped when
 * the request is freed.
 * OK: *out is the request, satchel_request_free releases it. PASS_THROUGH: not a
 * POST to .../chat/completions; *out is NULL, proxy it yourself. ERR_HANDLE,
 * ERR_ARGUMENT, ERR_MEMORY.
 */
SATCHEL_API satchel_status satchel_request_new(satchel_prompt_cache* cache,
                                               const satchel_request_head* head,
                                               satchel_request** out, satchel_error* error);

/* What to do with the request. All views are valid until satchel_request_free;
 * a body that was not changed is the caller's own pointer. */
typedef struct satchel_forward {
  size_t struct_size;
  satchel_view body;         /* OK: send this. REJECTED: answer this */
  satchel_view target;       /* to ask for, without our parameter; empty if REJECTED */
  satchel_view content_type; /* REJECTED: of the answer, NUL-terminated too */
  int32_t http_status;       /* REJECTED: of the answer */
  int32_t body_changed;      /* 1: body is not the caller's; its length is body.len */
  int32_t target_changed;
  int32_t reserved;
} satchel_forward;

#define SATCHEL_FORWARD_INIT \
  { sizeof(satchel_forward), {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, 0, 0, 0 }

SATCHEL_API void satchel_forward_init(satchel_forward* forward);

/*
 * Takes the whole body: parses, validates, hashes, and makes the body to forward
 * (markers removed, include_usage set for streams), all other bytes as they came.
 * OK: forward says what to send. PASS_THROUGH: not JSON; send the body as it is to
 * forward.target, no further call is needed. REJECTED: answer the client with forward.http_status
 * and forward.body; error.reason and error.message say why. ERR_STATE when called
 * twice. Ask the upstream for an uncompressed answer (drop Accept-Encoding): a
 * compressed one passes, but its usage cannot be edited and nothing is committed.
 */
SATCHEL_API satchel_status satchel_request_body(satchel_request* request, const char* body,
                                                size_t body_len, satchel_forward* forward,
                                                satchel_error* error);

/*
 * Classifies now: principal, model, index, tokenizer. Meant for the time in which
 * the upstream works; when it was not called, the library does it at the moment
 * it needs the answer, which is the frame that carries the usage. Calling it again
 * does nothing. OK also when classification failed: the request is then uncached.
 * ERR_STATE before satchel_request_body.
 */
SATCHEL_API satchel_status satchel_request_classify(satchel_request* request, satchel_error* error);

/*
 * How classification ended: OK, also where nothing could be found out, as above. All
 * others leave the request uncached: ERR_TIMEOUT, "classify_deadline_ms" passed;
 * ERR_LIMIT, the queue was full, or too many bytes of the response waited (see
 * satchel_request_no_wait); ERR_MEMORY; ERR_STATE, the request was aborted or freed
 * first; ERR_HANDLE, the cache was closed.
 *
 * Called on a thread of the library, or inside the call that ended it:
 * satchel_request_classify_start where there was nothing to ask or no room,
 * satchel_request_abort, satchel_request_free, and whoever waited until the deadline.
 * It must not wait for anything: other requests are late behind it. Calls that need
 * neither a lock of the caller nor another thread are fine. Those on the same request
 * return ERR_BUSY while another thread is inside it, or the call that ended it is, and
 * ERR_HANDLE while it is being freed. Requests, caches and libraries cannot be released
 * inside it: ERR_BUSY.
 */
typedef void (*satchel_classify_done)(void* user, satchel_status status);

/*
 * Classifies on a thread of the library, beside the upstream call, and returns at
 * once. At most "classify_threads" run at the same time and "classify_queue" wait;
 * "classify_deadline_ms" counts from this call. The host's principals, models and
 * tokenizer are called on those threads then.
 *
 * Whoever needs the answer waits for it, until the deadline at most: the
 * satchel_request_write that has the final usage, satchel_request_end, and
 * satchel_request_classify. An answer that comes later is dropped, and nothing is
 * committed. satchel_request_abort and satchel_request_free do not wait: what a
 * callback of the host is doing goes on without them.
 *   done     may be NULL. Called exactly once, unless this call returns an error, and
 *            never after satchel_request_free has returned.
 * ERR_STATE before satchel_request_body, and when called twice. After
 * satchel_request_classify there is nothing to do: `done` is called with OK.
 */
SATCHEL_API satchel_status satchel_request_classify_start(satchel_request* request,
                                                          satchel_classify_done done, void* user,
                                                          satchel_error* error);

/*
 * For event loops: *fd becomes readable (poll, epoll, kqueue, libuv, asyncio) once what
 * was started has ended, and stays so. It need not be read. It belongs to the request,
 * which closes it in satchel_request_free: take it out of the loop before.
 * ERR_STATE: nothing was started. ERR_IO: no descriptor is left.
 */
SATCHEL_API satchel_status satchel_request_descriptor(satchel_request* request, int32_t* fd,
                                                      satchel_error* error);

/*
 * From now on no call on this request waits for classification. Where its answer is
 * needed and not there, satchel_request_write and satchel_request_end give out what
 * precedes the final usage, keep the rest, and return PENDING. After `done`, or once the
 * descriptor is readable, satchel_request_write with no bytes gives the rest, and
 * satchel_request_end, called again, ends it. Meanwhile further bytes may be written.
 * When more than twice "max_event_bytes" is kept, the request goes uncached instead.
 * Where classification was not started, it is by whoever needs it, without a `done`.
 */
SATCHEL_API satchel_status satchel_request_no_wait(satchel_request* request, satchel_error* error);

enum {
  SATCHEL_RESPONSE_AS_IS = 0,  /* length and body stay as they are */
  SATCHEL_RESPONSE_STREAM = 1, /* drop Content-Length; bytes come as they come */
  SATCHEL_RESPONSE_HELD = 2    /* drop Content-Length, or send the head after
                                  satchel_request_end with the length it gives */
};

/*
 * Takes the head of the upstream's response. Empty content_type counts as JSON;
 * content_encoding is the header's value, empty for none.
 *   plan     SATCHEL_RESPONSE_*: what to do with the response's length.
 */
SATCHEL_API satchel_status satchel_request_response(satchel_request* request, int32_t http_status,
                                                    const char* content_type,
                                                    size_t content_type_len,
                                                    const char* content_encoding,
                                                    size_t content_encoding_len, int32_t* plan,
                                                    satchel_error* error);

/*
 * Takes bytes of the response, cut anywhere, and gives the bytes for the client:
 * possibly none yet, possibly the caller's own pointer. *out is valid until the
 * next call on this request. ERR_STREAM: an event longer than "max_event_bytes"
 * never ended; break the client's connection, never end it cleanly. PENDING: see
 * satchel_request_no_wait; *out is for the client all the same.
 */
SATCHEL_API satchel_status satchel_request_write(satchel_request* request, const char* data,
                                                 size_t len, satchel_view* out,
                                                 satchel_error* error);

/*
 * The response ended as it should: gives the last bytes for the client and hands
 * the entries over for writing, or says in the result why not. *out as above. PENDING:
 * it has not ended yet, call it again; every call gives bytes that no other gave.
 */
SATCHEL_API satchel_status satchel_request_end(satchel_request* request, satchel_view* out,
                                               satchel_error* error);

/* The client left or the upstream broke: nothing is committed, unless the stream's
 * "[DONE]" went by before, behind which nothing comes: then it ended as it should,
 * and some clients close right there. OK at any time before satchel_request_end,
 * and again. */
SATCHEL_API satchel_status satchel_request_abort(satchel_request* request, satchel_error* error);

enum {
  SATCHEL_COMMIT_OPEN = 0,        /* not decided yet */
  SATCHEL_COMMIT_NOTHING = 1,     /* there was nothing to write */
  SATCHEL_COMMIT_HANDED_OVER = 2, /* entries are on their way to the index */
  SATCHEL_COMMIT_VETO_NON_2XX = 3,
  SATCHEL_COMMIT_VETO_NO_USAGE = 4,
  SATCHEL_COMMIT_VETO_ERROR_FRAME = 5,
  SATCHEL_COMMIT_VETO_ABORTED = 6,
  SATCHEL_COMMIT_DROPPED = 7 /* the index took nothing: see the log */
};

/* What became of a request. Token counts are those written into the usage, or with
 * "inject" off those that would have been; before its end, as far as they are known. A
 * request that ended or was aborted without usage has none: nobody was told of any. */
typedef struct satchel_request_result {
  size_t struct_size;
  int32_t classified;  /* 1 once classification has ended and was asked for its answer */
  int32_t active;      /* 1: principal known and model enabled */
  int32_t degraded;    /* 1: zero because something failed, not because of the prompt */
  int32_t had_markers; /* 1: the client asked for caching */
  int32_t saw_usage;
  int32_t saw_error; /* an error frame in the stream */
  int32_t commit;    /* SATCHEL_COMMIT_* */
  int32_t reserved;
  uint64_t read;
  uint64_t creation_5m;
  uint64_t creation_1h;
  uint64_t creation_24h;
  uint64_t prompt_tokens;          /* the upstream's, 0 while unknown */
  uint64_t upstream_cached_tokens; /* the upstream's own, before it was rewritten */
  uint64_t library_ns;             /* time spent in calls on this request */
} satchel_request_result;

#define SATCHEL_REQUEST_RESULT_INIT \
  { sizeof(satchel_request_result), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

SATCHEL_API satchel_status satchel_request_result_get(satchel_request* request,
                                                      satchel_request_result* result,
                                                      satchel_error* error);

/* Frees and sets *request to NULL; aborts it if it had not ended. Waits for a call on it
 * that another thread is in, and for a `done` of it that is being called, for nothing
 * else. Returns OK, also for NULL; ERR_BUSY from
 * inside a callback of it or on a thread of the library; ERR_HANDLE. */
SATCHEL_API satchel_status satchel_request_free(satchel_request** request);

/* ==========================================================================
 *                    THE PARTS OF IT, FOR HOSTS THAT OWN THE REST
 *
 * The same code that a request runs, one step at a time: for gateways that keep
 * their own flow, for replays of recorded traffic, and for tests.
 * ========================================================================== */

/* A prompt as the cache sees it: blocks in canonical order, hashes, breakpoints. */
typedef struct satchel_prompt satchel_prompt;

typedef struct satchel_block {
  size_t struct_size;
  satchel_view role;     /* "tool_definition", "tool_call", or the message's role */
  satchel_view text;     /* what is counted */
  int64_t message_index; /* as forwarded; -1 for a tool definition */
  uint8_t hash[32];      /* SHA-256 over all blocks up to this one */
} satchel_block;

#define SATCHEL_BLOCK_INIT                                \
  {                                                       \
    sizeof(satchel_block), {NULL, 0}, {NULL, 0}, 0, { 0 } \
  }

enum { SATCHEL_TIER_5M = 0, SATCHEL_TIER_1H = 1, SATCHEL_TIER_24H = 2 };

/* A breakpoint and its prefix in wire form; -1 for ordinals that are absent.
 * {tools:n}: tools = n. {message:i[,block:j|,tool_call:j]}: message = i, ... */
typedef struct satchel_breakpoint {
  size_t struct_size;
  uint64_t block;           /* index of the marked block: the prefix ends with it */
  uint64_t candidate_count; /* how many hashes are looked up for a read */
  int64_t tools;
  int64_t message;
  int64_t message_block;
  int64_t tool_call;
  int32_t tier; /* SATCHEL_TIER_* */
  int32_t reserved;
} satchel_breakpoint;

#define SATCHEL_BREAKPOINT_INIT \
  { sizeof(satchel_breakpoint), 0, 0, 0, 0, 0, 0, 0, 0 }

/*
 * Parses a body. OK: *out, released by satchel_prompt_free. REJECTED: a marker is
 * at fault; ERR_JSON: not JSON; error.reason says which. Any thread.
 */
SATCHEL_API satchel_status satchel_prompt_parse(satchel_prompt_cache* cache, const char* body,
                                                size_t body_len, satchel_prompt** out,
                                                satchel_error* error);
SATCHEL_API satchel_status satchel_prompt_free(satchel_prompt** prompt);
SATCHEL_API satchel_status satchel_prompt_block_count(satchel_prompt* prompt, size_t* count,
                                                      satchel_error* error);
/* Views in *block are valid until satchel_prompt_free. */
SATCHEL_API satchel_status satchel_prompt_block(satchel_prompt* prompt, size_t index,
                                                satchel_block* block, satchel_error* error);
SATCHEL_API satchel_status satchel_prompt_breakpoint_count(satchel_prompt* prompt, size_t* count,
                                                           satchel_error* error);
SATCHEL_API satchel_status satchel_prompt_breakpoint(satchel_prompt* prompt, size_t index,
                                                     satchel_breakpoint* breakpoint,
                                                     satchel_error* error);

/* Checks the markers as a request does before it is forwarded (it stops at the
 * fifth). OK, REJECTED with error.reason, ERR_JSON. */
SATCHEL_API satchel_status satchel_prompt_validate(satchel_prompt_cache* cache, const char* body,
                                                   size_t body_len, satchel_error* error);

/* Makes the body to forward. OK: in *out. UNCHANGED: forward the original.
 * *had_markers: 1 if a marker that is not null was removed. */
SATCHEL_API satchel_status satchel_prompt_forward(satchel_prompt_cache* cache, const char* body,
                                                  size_t body_len, satchel_buffer* out,
                                                  int32_t* had_markers, satchel_error* error);

/*
 * Reads ?cacheBreakpoint=... of a target ("/path?query"). OK: asks for a marker on
 * the last block. UNCHANGED: the parameter is absent. REJECTED: its value is not
 * supported; *value views it inside target. *out, if not NULL, gets the target to
 * forward in every case.
 */
SATCHEL_API satchel_status satchel_query_breakpoint(const char* target, size_t target_len,
                                                    satchel_view* value, satchel_buffer* out,
                                                    satchel_error* error);

/* Puts the marker that the query asked for into a body. OK: in *out. UNCHANGED:
 * the body has its own, or is no object. ERR_JSON. */
SATCHEL_API satchel_status satchel_query_mark(const char* body, size_t body_len,
                                              satchel_buffer* out, satchel_error* error);

/* Tokens by what the cache made of them. */
typedef struct satchel_cache_usage {
  size_t struct_size;
  uint64_t read;
  uint64_t creation_5m;
  uint64_t creation_1h;
  uint64_t creation_24h;
} satchel_cache_usage;

#define SATCHEL_CACHE_USAGE_INIT \
  { sizeof(satchel_cache_usage), 0, 0, 0, 0 }

/* A response on its way to the client, with its usage edited. */
typedef struct satchel_usage_filter satchel_usage_filter;

enum { SATCHEL_BODY_JSON = 0, SATCHEL_BODY_SSE = 1 };

/*
 * Begins a filter over one response body.
 *   kind     SATCHEL_BODY_*.
 *   usage    written into the response; NULL to only remove what the provider
 *            wrote about its own cache.
 */
SATCHEL_API satchel_status satchel_usage_filter_new(int32_t kind, const satchel_cache_usage* usage,
                                                    satchel_usage_filter** out,
                                                    satchel_error* error);
/* As satchel_request_write and satchel_request_end. */
SATCHEL_API satchel_status satchel_usage_filter_write(satchel_usage_filter* filter,
                                                      const char* data, size_t len,
                                                      satchel_view* out, satchel_error* error);
SATCHEL_API satchel_status satchel_usage_filter_end(satchel_usage_filter* filter, satchel_view* out,
                                                    satchel_error* error);
/* What went by: each pointer may be NULL. */
SATCHEL_API satchel_status satchel_usage_filter_saw(satchel_usage_filter* filter, int32_t* changed,
                                                    int32_t* usage, int32_t* error_frame,
                                                    satchel_error* error);
SATCHEL_API satchel_status satchel_usage_filter_free(satchel_usage_filter** filter);

/* What classification found, and what it would write. */
typedef struct satchel_outcome satchel_outcome;

typedef struct satchel_outcome_summary {
  size_t struct_size;
  int32_t active;
  int32_t degraded;
  int32_t has_refresh;
  int32_t reserved;
  uint64_t read;
  uint64_t creation_5m;
  uint64_t creation_1h;
  uint64_t creation_24h;
  uint64_t entry_count;       /* entries a commit writes */
  uint8_t refresh_hash[32];   /* the entry whose life a commit extends */
  int64_t refresh_expires_at; /* Unix nanoseconds */
  satchel_view principal;     /* of the scope; valid until satchel_outcome_free */
  satchel_view model;
  satchel_view tokenizer_version;
  uint64_t render_total;    /* tokens of the whole prompt, where counted exactly */
  int32_t has_render_total; /* whether they were */
  int32_t reserved_2;
} satchel_outcome_summary;

#define SATCHEL_OUTCOME_SUMMARY_INIT                                                          \
  {                                                                                           \
    sizeof(satchel_outcome_summary), 0, 0, 0, 0, 0, 0, 0, 0, 0, {0}, 0, {NULL, 0}, {NULL, 0}, \
        {NULL, 0}, 0, 0, 0                                                                    \
  }

/*
 * Classifies a body without a response: what the request would have read and
 * created. Unlike a request it does not reject bad markers, it degrades.
 *   who      method and target are not looked at.
 */
SATCHEL_API satchel_status satchel_prompt_classify(satchel_prompt_cache* cache,
                                                   const satchel_request_head* who,
                                                   const char* model, size_t model_len,
                                                   const char* body, size_t body_len,
                                                   satchel_outcome** out, satchel_error* error);
SATCHEL_API satchel_status satchel_outcome_summary_get(satchel_outcome* outcome,
                                                       satchel_outcome_summary* summary,
                                                       satchel_error* error);
SATCHEL_API satchel_status satchel_outcome_entry(satchel_outcome* outcome, size_t index,
                                                 satchel_entry* entry, satchel_error* error);
/* Hands the entries over for writing, once; again does nothing. ERR_LIMIT: the
 * index took nothing, its queue is full. */
SATCHEL_API satchel_status satchel_outcome_commit(satchel_outcome* outcome, satchel_error* error);
SATCHEL_API satchel_status satchel_outcome_free(satchel_outcome** outcome);

/*
 * Canonical JSON: keys sorted by their bytes, the last of equal keys, no spaces,
 * numbers and strings in one spelling, as serde_json 1.0.149 writes a Value. Equal
 * documents give equal bytes. ERR_JSON names the place.
 */
SATCHEL_API satchel_status satchel_json_canonical(const char* json, size_t json_len,
                                                  satchel_buffer* out, satchel_error* error);

/* ==========================================================================
 *                               THE TOOL CACHE
 *
 * Has this tool call been made, and is its result still true? Results are kept
 * under the hash of the call's input, served byte for byte, and only while every
 * file they depend on (root) is unchanged; what depends on another result
 * (upstream) goes with it. The store is a directory in the format of the crate
 * verdant-cache-runtime 0.5.2, shared with it and with other processes.
 *
 *   satchel_tool_get_or_begin  -> the result | yours to compute | somebody does
 *      ... the tool runs ...
 *   satchel_tool_lease_commit     stored, unless a root changed meanwhile
 *   satchel_tool_lease_free
 *
 * or, without leases, satchel_tool_lookup_revalidate and satchel_tool_persist.
 * From whoever edits files: satchel_tool_invalidate_path.
 *
 * A key is 64 lowercase hexadecimal digits: BLAKE3 of the call's canonical input
 * (satchel_tool_key). Anything else is ERR_ARGUMENT. Paths are bytes; relative
 * ones are resolved against the workspace, none may hold a NUL byte. All calls here
 * may wait for the disk.
 * ========================================================================== */

typedef struct satchel_tool_cache satchel_tool_cache;
typedef struct satchel_tool_result satchel_tool_result; /* a result that was stored */
typedef struct satchel_tool_lease satchel_tool_lease;   /* one's turn to compute */
typedef struct satchel_tool_writer satchel_tool_writer; /* a payload on its way in */

/* A file or directory a result depends on. expected_hash is its fingerprint, by
 * form: "dir:..." over a directory's entry names, "stat:..." over size and mtime,
 * anything else BLAKE3 of the content. This struct stands in arrays and never
 * grows. */
typedef struct satchel_root {
  satchel_view path;
  satchel_view expected_hash;
} satchel_root;

/* What is stored beside a payload. An upstream that is no key is ERR_ARGUMENT. */
typedef struct satchel_tool_meta {
  size_t struct_size;
  satchel_view kind; /* "read", "bash", ...: free text, for statistics */
  const satchel_root* roots;
  size_t root_count;
  const satchel_view* upstreams; /* keys of the results it was made from */
  size_t upstream_count;
} satchel_tool_meta;

#define SATCHEL_TOOL_META_INIT \
  { sizeof(satchel_tool_meta), {NULL, 0}, NULL, 0, NULL, 0 }

SATCHEL_API void satchel_tool_meta_init(satchel_tool_meta* meta);

/* Answers that a store of the host fills; valid until its callback returns. */
typedef struct satchel_stored_answer satchel_stored_answer;
typedef struct satchel_keys_answer satchel_keys_answer;

/* From lookup: the entry's bytes. Copied. */
SATCHEL_API satchel_status satchel_stored_set(satchel_stored_answer* answer, const char* payload,
                                              size_t payload_len, const char* meta,
                                              size_t meta_len);
/* From iterate and evict: one more entry; meta is not read by evict. Copied. */
SATCHEL_API satchel_status satchel_keys_add(satchel_keys_answer* answer, const char* key,
                                            size_t key_len, const char* meta, size_t meta_len);

/*
 * A store of the host's own, instead of the directory. All callbacks are needed.
 * Meta is the text of the reference's meta.json; the store keeps it as it is. A
 * store checks nothing: hashes, roots and leases remain the library's affair, single
 * flight then holds within this process. There is no built-in to fall back to: any
 * answer but OK is ERR_CALLBACK, and names the callback.
 */
typedef struct satchel_tool_store {
  size_t struct_size;
  void* user;
  void (*release)(void* user);
  satchel_status (*persist)(void* user, const char* key, size_t key_len, const char* payload,
                            size_t payload_len, const char* meta, size_t meta_len);
  /* OK without satchel_stored_set: there is no such entry. */
  satchel_status (*lookup)(void* user, const char* key, size_t key_len,
                           satchel_stored_answer* answer);
  /* *removed: 1 if anything was there. */
  satchel_status (*remove)(void* user, const char* key, size_t key_len, int32_t* removed);
  satchel_status (*contains)(void* user, const char* key, size_t key_len, int32_t* present);
  /* Every entry, by satchel_keys_add. */
  satchel_status (*iterate)(void* user, satchel_keys_answer* answer);
  satchel_status (*total_bytes)(void* user, uint64_t* bytes);
  /* Removes entries until total_bytes is at most cap; those removed, by
   * satchel_keys_add without a meta. */
  satchel_status (*evict_to_cap)(void* user, uint64_t cap, satchel_keys_answer* answer);
} satchel_tool_store;

#define SATCHEL_TOOL_STORE_INIT \
  { sizeof(satchel_tool_store), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL }

SATCHEL_API void satchel_tool_store_init(satchel_tool_store* store);

/* Where a cache lives. Bytes, not NUL-terminated. */
typedef struct satchel_tool_place {
  size_t struct_size;
  satchel_view store;     /* the directory, made where it is missing; empty with host_store */
  satchel_view workspace; /* empty: the working directory at this moment */
  const satchel_tool_store* host_store; /* NULL: the directory */
} satchel_tool_place;

#define SATCHEL_TOOL_PLACE_INIT \
  { sizeof(satchel_tool_place), {NULL, 0}, {NULL, 0}, NULL }

SATCHEL_API void satchel_tool_place_init(satchel_tool_place* place);

/*
 * Opens a tool cache.
 *   library  lends its clock and log.
 *   place    where; the store's table is copied, its release runs once, also when
 *            this call fails.
 *   config   JSON object, all keys optional; docs/configuration.md has them with
 *            their defaults. The most common:
 *              "max_bytes", "max_entries", "max_age_s"   bounds kept in the background
 *              "strict": true                            hash every root every time
 *              "stats_path": "/file.jsonl"               a line a call
 *              "remote": {"kind": "redis", ...}          a store that machines share
 *   out      satchel_tool_cache_close releases it.
 * Reads nothing in bulk. Returns OK, ERR_HANDLE, ERR_ARGUMENT, ERR_CONFIG, ERR_IO
 * (the directory cannot be made or read, no thread can be started), ERR_MEMORY.
 */
SATCHEL_API satchel_status satchel_tool_cache_open(satchel_library* library,
                                                   const satchel_tool_place* place,
                                                   const char* config, size_t config_len,
                                                   satchel_tool_cache** out, satchel_error* error);

/* Closes and sets *cache to NULL. Who waits in satchel_tool_get_or_begin gets WAIT, in
 * satchel_tool_cache_flush ERR_TIMEOUT. What is on its way to a remote has two seconds,
 * and a command under way its "send_timeout_ms". Results stay readable; leases and
 * writers still open answer ERR_HANDLE and are freed as ever. Returns as satchel_close. */
SATCHEL_API satchel_status satchel_tool_cache_close(satchel_tool_cache** cache);

/* The key of a call: BLAKE3 of its canonical input, in hexadecimal, and a NUL.
 * key: room for 65 bytes. */
SATCHEL_API satchel_status satchel_tool_key(const char* input, size_t input_len, char* key,
                                            satchel_error* error);
/* The key under which a result's own bytes are known: of "tool_result\0" + content. */
SATCHEL_API satchel_status satchel_tool_result_key(const char* content, size_t content_len,
                                                   char* key, satchel_error* error);

/* ------------------------------------------------------------------- lookups */

/*
 * The stored result, its roots not looked at.
 * OK: *out, released by satchel_tool_result_free. MISS. ERR_INTEGRITY: the payload
 * is not what was stored; ERR_META: what stands beside it cannot be read. Neither
 * removes anything, and both come again. ERR_IO.
 * A result may be read by several threads at once, also after the cache is closed.
 */
SATCHEL_API satchel_status satchel_tool_lookup(satchel_tool_cache* cache, const char* key,
                                               size_t key_len, satchel_tool_result** out,
                                               satchel_error* error);

/* The same, if every root is as it was: else INVALIDATED, and error.message names
 * the root. The entry stays on disk: put the file back, and it hits again. */
SATCHEL_API satchel_status satchel_tool_lookup_revalidate(satchel_tool_cache* cache,
                                                          const char* key, size_t key_len,
                                                          satchel_tool_result** out,
                                                          satchel_error* error);

/* What is known of a result. Views are valid until satchel_tool_result_free. */
typedef struct satchel_tool_result_info {
  size_t struct_size;
  satchel_view kind;
  satchel_view payload_hash; /* BLAKE3 of the payload, hexadecimal */
  uint64_t bytes;            /* of the payload */
  uint64_t root_count;
  uint64_t upstream_count;
} satchel_tool_result_info;

#define SATCHEL_TOOL_RESULT_INFO_INIT \
  { sizeof(satchel_tool_result_info), {NULL, 0}, {NULL, 0}, 0, 0, 0 }

SATCHEL_API satchel_status satchel_tool_result_info_get(satchel_tool_result* result,
                                                        satchel_tool_result_info* info,
                                                        satchel_error* error);
SATCHEL_API satchel_status satchel_tool_result_root(satchel_tool_result* result, size_t index,
                                                    satchel_root* root, satchel_error* error);
SATCHEL_API satchel_status satchel_tool_result_upstream(satchel_tool_result* result, size_t index,
                                                        satchel_view* key, satchel_error* error);
/* The whole payload, in memory, until satchel_tool_result_free. */
SATCHEL_API satchel_status satchel_tool_result_payload(satchel_tool_result* result,
                                                       satchel_view* payload, satchel_error* error);
/* Up to `capacity` bytes from `offset` into `data`; *got is 0 at the end. For
 * payloads that should not stand in memory whole. ERR_INTEGRITY: the file was
 * written to since it was checked; what was read before is void too. */
SATCHEL_API satchel_status satchel_tool_result_read(satchel_tool_result* result, uint64_t offset,
                                                    char* data, size_t capacity, size_t* got,
                                                    satchel_error* error);
SATCHEL_API satchel_status satchel_tool_result_free(satchel_tool_result** result);

/* ------------------------------------------------------------- storing results */

/* Stores a result. The roots' hashes are those from before the tool ran.
 * ERR_NO_SPACE: disk or quota is full; nothing was stored, nothing else harmed. */
SATCHEL_API satchel_status satchel_tool_persist(satchel_tool_cache* cache, const char* key,
                                                size_t key_len, const char* payload,
                                                size_t payload_len, const satchel_tool_meta* meta,
                                                satchel_error* error);

/* Stores a result piece by piece; one thread at a time. *out is released by
 * satchel_tool_writer_free, which stores nothing unless it was committed. Behind a
 * write that failed, and behind the commit, everything else is ERR_STATE. */
SATCHEL_API satchel_status satchel_tool_writer_new(satchel_tool_cache* cache, const char* key,
                                                   size_t key_len, const satchel_tool_meta* meta,
                                                   satchel_tool_writer** out, satchel_error* error);
SATCHEL_API satchel_status satchel_tool_writer_write(satchel_tool_writer* writer, const char* data,
                                                     size_t len, satchel_error* error);
/* OK: stored. NOT_STORED as satchel_tool_lease_commit, for a writer of a lease. */
SATCHEL_API satchel_status satchel_tool_writer_commit(satchel_tool_writer* writer,
                                                      satchel_error* error);
SATCHEL_API satchel_status satchel_tool_writer_free(satchel_tool_writer** writer);

/* ------------------------------------------------------------- hash, run, hash */

/* What a caller is about to compute. */
typedef struct satchel_tool_call {
  size_t struct_size;
  satchel_view kind;
  satchel_view args_summary; /* for the statistics line; may be empty */
  /* Files the tool will read. expected_hash says the form of fingerprint to take
   * ("dir:", "stat:", or empty for content); what follows the prefix is not read. */
  const satchel_root* roots;
  size_t root_count;
  uint32_t wait_ms;  /* how long to wait for somebody else who computes it; 0: not */
  uint32_t lease_ms; /* until when it should be done; 0: the configured "lease_ms" */
} satchel_tool_call;

#define SATCHEL_TOOL_CALL_INIT \
  { sizeof(satchel_tool_call), {NULL, 0}, {NULL, 0}, NULL, 0, 0, 0 }

SATCHEL_API void satchel_tool_call_init(satchel_tool_call* call);

/*
 * The result if it is known and true, else one caller among all threads and
 * processes is told to compute it.
 * OK: *result. LEASED: *lease is the caller's; the roots' fingerprints have been
 * taken. WAIT: somebody else is computing, and was not done after wait_ms, or when
 * the cache was closed. A lease whose process died, or whose time is over, passes on.
 * A damaged entry (ERR_INTEGRITY, ERR_META) counts as none: it is computed anew.
 */
SATCHEL_API satchel_status satchel_tool_get_or_begin(satchel_tool_cache* cache, const char* key,
                                                     size_t key_len, const satchel_tool_call* call,
                                                     satchel_tool_result** result,
                                                     satchel_tool_lease** lease,
                                                     satchel_error* error);

/*
 * Stores the result and ends the lease.
 *   meta     NULL, or: upstreams; roots beside those of the call, with their
 *            fingerprints from before the tool ran; a kind other than the call's.
 * OK: stored. NOT_STORED: a root changed while the tool ran, or the lease had
 * passed on: use the result, it is merely not kept; error.message says which.
 * ERR_STATE when committed or abandoned before; ERR_NO_SPACE; ERR_IO.
 */
SATCHEL_API satchel_status satchel_tool_lease_commit(satchel_tool_lease* lease, const char* payload,
                                                     size_t payload_len,
                                                     const satchel_tool_meta* meta,
                                                     satchel_error* error);
/* The same, piece by piece: satchel_tool_writer_commit ends the lease. One writer a
 * lease, a second is ERR_STATE; it is ERR_HANDLE once the lease was freed. */
SATCHEL_API satchel_status satchel_tool_lease_writer(satchel_tool_lease* lease,
                                                     const satchel_tool_meta* meta,
                                                     satchel_tool_writer** out,
                                                     satchel_error* error);
/* There will be no result: whoever waits may begin. */
SATCHEL_API satchel_status satchel_tool_lease_abandon(satchel_tool_lease* lease,
                                                      satchel_error* error);
/* Frees and sets *lease to NULL; abandons it if it was not ended. */
SATCHEL_API satchel_status satchel_tool_lease_free(satchel_tool_lease** lease);

/* ---------------------------------------------------------------- invalidation */

/* *present: 1 if the entry is known to this process, or both its files are there. */
SATCHEL_API satchel_status satchel_tool_contains(satchel_tool_cache* cache, const char* key,
                                                 size_t key_len, int32_t* present,
                                                 satchel_error* error);
/* Drops one entry, whatever is there of it. What depends on it stays. */
SATCHEL_API satchel_status satchel_tool_mark_dirty(satchel_tool_cache* cache, const char* key,
                                                   size_t key_len, satchel_error* error);
/* Drops everything that depends on the entry, directly or through others, whoever
 * wrote it. *dropped: how many, the entry itself not among them. May be NULL. */
SATCHEL_API satchel_status satchel_tool_invalidate_upstream(satchel_tool_cache* cache,
                                                            const char* key, size_t key_len,
                                                            uint64_t* dropped,
                                                            satchel_error* error);
/* Drops every entry with this path among its roots, and everything downstream.
 * Canonical paths are compared, without regard to case; paths that do not exist, as
 * written. *matches: how many had the path itself. May be NULL. */
SATCHEL_API satchel_status satchel_tool_invalidate_path(satchel_tool_cache* cache, const char* path,
                                                        size_t path_len, uint64_t* matches,
                                                        satchel_error* error);

/* ---------------------------------------------------------------- fingerprints */

enum {
  SATCHEL_FINGERPRINT_CONTENT = 0,        /* OVERSIZED above "hash_max_bytes" */
  SATCHEL_FINGERPRINT_DIRECTORY = 1,      /* the sorted names of its entries */
  SATCHEL_FINGERPRINT_STAT = 2,           /* size and mtime: cheap, and as weak */
  SATCHEL_FINGERPRINT_CONTENT_OR_STAT = 3 /* stat above "hash_max_bytes" */
};

/* The fingerprint that a file or directory has now, for a root. OK: in *out.
 * OVERSIZED: too large to hash; do not cache what depends on it. ERR_IO: missing
 * or unreadable. */
SATCHEL_API satchel_status satchel_tool_fingerprint(satchel_tool_cache* cache, const char* path,
                                                    size_t path_len, int32_t form,
                                                    satchel_buffer* out, satchel_error* error);

/* ------------------------------------------------------- what is in it, upkeep */

/* Entries that this process knows: those there at opening, stored or hit by it. */
SATCHEL_API satchel_status satchel_tool_entry_count(satchel_tool_cache* cache, uint64_t* count,
                                                    satchel_error* error);
/* Their kinds, sorted: a JSON array of texts. */
SATCHEL_API satchel_status satchel_tool_known_kinds(satchel_tool_cache* cache, satchel_buffer* out,
                                                    satchel_error* error);
/* Bytes of all files of the store; walks the directory. */
SATCHEL_API satchel_status satchel_tool_total_bytes(satchel_tool_cache* cache, uint64_t* bytes,
                                                    satchel_error* error);
/* Removes entries, oldest payload first (by mtime, then key), until total_bytes is
 * at most cap; half-written ones count. *dropped may be NULL. */
SATCHEL_API satchel_status satchel_tool_evict_to_cap(satchel_tool_cache* cache, uint64_t cap,
                                                     uint64_t* dropped, satchel_error* error);
/* Keeps the configured bounds now, least recently used first. *dropped may be NULL. */
SATCHEL_API satchel_status satchel_tool_evict(satchel_tool_cache* cache, uint64_t* dropped,
                                              satchel_error* error);
/* Removes what crashed processes left, if it is at least min_age_ms old: halves of
 * entries, temporary files. *removed may be NULL. */
SATCHEL_API satchel_status satchel_tool_sweep(satchel_tool_cache* cache, uint64_t min_age_ms,
                                              uint64_t* removed, satchel_error* error);
/* Makes the index anew from the store. Lookups go on meanwhile. */
SATCHEL_API satchel_status satchel_tool_rebuild(satchel_tool_cache* cache, satchel_error* error);
/* Waits until what runs in the background is done: the index in line with the
 * store, fingerprints remembered, results and invalidations passed on to the remote.
 * OK, or ERR_TIMEOUT. */
SATCHEL_API satchel_status satchel_tool_cache_flush(satchel_tool_cache* cache, uint32_t timeout_ms,
                                                    satchel_error* error);

/* Everything countable, as a JSON object (docs/tool-cache.md has its members):
 * entries and bytes by kind in the store, and what this process has done. */
SATCHEL_API satchel_status satchel_tool_stats(satchel_tool_cache* cache, satchel_buffer* out,
                                              satchel_error* error);
/* The same counters in the Prometheus text format, satchel_tool_cache_*. */
SATCHEL_API satchel_status satchel_tool_metrics(satchel_tool_cache* cache, satchel_buffer* out,
                                                satchel_error* error);
/* A page of the store's entries in the order of their keys, as a JSON array:
 * at most `limit` (1 to 10000) behind the key `after` (empty: from the first), of
 * one kind or, if it is empty, of all. */
SATCHEL_API satchel_status satchel_tool_list(satchel_tool_cache* cache, const char* after,
                                             size_t after_len, const char* kind, size_t kind_len,
                                             uint32_t limit, satchel_buffer* out,
                                             satchel_error* error);
/* Why an entry is served or not, root by root and upstream by upstream: a JSON
 * object. Changes nothing. */
SATCHEL_API satchel_status satchel_tool_why(satchel_tool_cache* cache, const char* key,
                                            size_t key_len, satchel_buffer* out,
                                            satchel_error* error);
/* Reads the payload and compares it with its hash. OK, MISS (not there, or half of
 * it), ERR_INTEGRITY, ERR_META. Changes nothing, also not what this process knows. */
SATCHEL_API satchel_status satchel_tool_verify(satchel_tool_cache* cache, const char* key,
                                               size_t key_len, satchel_error* error);
/* Appends a line to "stats_path" in the reference's form, for calls that did not go
 * through satchel_tool_get_or_begin. reason may be empty: null. OK also without a
 * stats_path. */
SATCHEL_API satchel_status satchel_tool_record(satchel_tool_cache* cache, const char* tool,
                                               size_t tool_len, const char* outcome,
                                               size_t outcome_len, uint64_t duration_us,
                                               const char* args_summary, size_t args_summary_len,
                                               const char* reason, size_t reason_len,
                                               satchel_error* error);

/* ==========================================================================
 *                               THE CASCADE
 *
 * How much of a Claude account's quota is used? Asked as often as one likes, by as
 * many processes: the endpoint is asked at most once per window on a machine, and
 * when it is away, limits or refuses, the answer comes from what is known and says
 * where it came from. In this order:
 *
 *   headers of the account's own answers, seen by satchel_cascade_observe
 *   usage.json, while it is fresh
 *   while usage.lock is active: stale data, or the transcripts, or the error
 *   credentials, and the endpoint: one fetch a machine, the others wait for it
 *   stale data, or the transcripts, or the error
 *
 * usage.json and usage.lock are those of linesmith 0.4.1, in its directory: both see
 * each other's cache and backoff. A cascade stands for one account: give each account
 * a cache_dir and config_dirs of its own.
 * ========================================================================== */

typedef struct satchel_cascade satchel_cascade;
typedef struct satchel_usage satchel_usage; /* what a resolve found */

/* Where a usage comes from. */
enum {
  SATCHEL_USAGE_ENDPOINT = 1, /* asked just now */
  SATCHEL_USAGE_CACHE = 2,    /* usage.json, fresh */
  SATCHEL_USAGE_STALE = 3,    /* what was known last; error says why it is not fresher */
  SATCHEL_USAGE_HEADERS = 4,  /* observed in an answer's headers, as good as fresh */
  SATCHEL_USAGE_JSONL = 5     /* tokens counted in the transcripts: no utilisation */
};

/* Why there is no (fresher) answer; the reference's names (linesmith-core,
 * data_context/error.rs). */
enum {
  SATCHEL_USAGE_ERROR_NONE = 0,
  SATCHEL_USAGE_ERROR_NO_CREDENTIALS = 1,
  SATCHEL_USAGE_ERROR_SUBPROCESS_FAILED = 2,
  SATCHEL_USAGE_ERROR_IO_ERROR = 3,
  SATCHEL_USAGE_ERROR_PARSE_ERROR = 4,
  SATCHEL_USAGE_ERROR_MISSING_FIELD = 5,
  SATCHEL_USAGE_ERROR_EMPTY_TOKEN = 6,
  SATCHEL_USAGE_ERROR_TIMEOUT = 7,
  SATCHEL_USAGE_ERROR_RATE_LIMITED = 8,
  SATCHEL_USAGE_ERROR_NETWORK_ERROR = 9,
  SATCHEL_USAGE_ERROR_UNAUTHORIZED = 10,
  SATCHEL_USAGE_ERROR_FORBIDDEN = 11,
  SATCHEL_USAGE_ERROR_NO_ENTRIES = 12,
  SATCHEL_USAGE_ERROR_DIRECTORY_MISSING = 13
};

/* The name as it stands in the files ("RateLimited"), NUL-terminated, static; ""
 * for NONE, "UNKNOWN" for a number this library does not have. Any thread. */
SATCHEL_API const char* satchel_usage_error_name(int32_t error);

/* Tokens by kind. This struct stands in others and never grows. */
typedef struct satchel_tokens {
  uint64_t input;
  uint64_t output;
  uint64_t cache_creation;
  uint64_t cache_read;
} satchel_tokens;

/* Answers that the host's parts fill; valid until their callback returns. */
typedef struct satchel_file_answer satchel_file_answer;
typedef struct satchel_token_answer satchel_token_answer;
typedef struct satchel_transcripts_answer satchel_transcripts_answer;

enum {
  SATCHEL_FILE_USAGE = 0,   /* usage.json */
  SATCHEL_FILE_LOCK = 1,    /* usage.lock */
  SATCHEL_FILE_OBSERVED = 2 /* satchel-observed.json: what headers said */
};

/* From read: the file's bytes and when it was written, Unix nanoseconds. Copied. */
SATCHEL_API satchel_status satchel_file_set(satchel_file_answer* answer, const char* data,
                                            size_t len, int64_t written_at);

/* The three files somewhere else than in a directory, all or none of the callbacks.
 * A write replaces the whole file at once. One fetch at a time then holds within this
 * process. NOT_HANDLED counts as an error: there is no directory to fall back to. */
typedef struct satchel_usage_files {
  size_t struct_size;
  void* user;
  void (*release)(void* user);
  /* OK without satchel_file_set: there is no such file. */
  satchel_status (*read)(void* user, int32_t file, satchel_file_answer* answer);
  satchel_status (*write)(void* user, int32_t file, const char* data, size_t len);
  satchel_status (*remove)(void* user, int32_t file);
} satchel_usage_files;

#define SATCHEL_USAGE_FILES_INIT \
  { sizeof(satchel_usage_files), NULL, NULL, NULL, NULL, NULL }

/* The bearer token. Copied, wiped after use. */
SATCHEL_API satchel_status satchel_token_set(satchel_token_answer* answer, const char* token,
                                             size_t token_len);
/* There is none, for one of SATCHEL_USAGE_ERROR_NO_CREDENTIALS to _EMPTY_TOKEN. */
SATCHEL_API satchel_status satchel_token_fail(satchel_token_answer* answer, int32_t error);

/* Who has the token. Built in: .credentials.json of the config_dirs. */
typedef struct satchel_credentials {
  size_t struct_size;
  void* user;
  void (*release)(void* user);
  /* OK without satchel_token_set: NoCredentials. An error without
   * satchel_token_fail: SubprocessFailed. */
  satchel_status (*token)(void* user, satchel_token_answer* answer);
} satchel_credentials;

#define SATCHEL_CREDENTIALS_INIT \
  { sizeof(satchel_credentials), NULL, NULL, NULL }

/* The block that is active now: its start, Unix nanoseconds, and its tokens. */
SATCHEL_API satchel_status satchel_transcripts_five_hour_set(satchel_transcripts_answer* answer,
                                                             int64_t start,
                                                             const satchel_tokens* tokens);
/* The tokens of the last seven days. */
SATCHEL_API satchel_status satchel_transcripts_seven_day_set(satchel_transcripts_answer* answer,
                                                             const satchel_tokens* tokens);

/* What was used, as the host counted it. Built in: projects/ of the config_dirs. */
typedef struct satchel_transcripts {
  size_t struct_size;
  void* user;
  void (*release)(void* user);
  /* now: Unix nanoseconds. OK without satchel_transcripts_seven_day_set: NoEntries. */
  satchel_status (*windows)(void* user, int64_t now, satchel_transcripts_answer* answer);
} satchel_transcripts;

#define SATCHEL_TRANSCRIPTS_INIT \
  { sizeof(satchel_transcripts), NULL, NULL, NULL }

/* Where a cascade looks, and the parts that the host replaces; everything may be
 * left empty. Paths are bytes, copied; tables are copied. */
typedef struct satchel_cascade_parts {
  size_t struct_size;
  /* Empty: $XDG_CACHE_HOME/linesmith, else $HOME/.cache/linesmith, else none. */
  satchel_view cache_dir;
  /* Directories with .credentials.json and projects/. NULL: $CLAUDE_CONFIG_DIR;
   * $XDG_CONFIG_HOME/claude or $HOME/.config/claude; $HOME/.claude. */
  const satchel_view* config_dirs;
  size_t config_dir_count;
  const satchel_usage_files* files;
  const satchel_credentials* credentials;
  const satchel_transcripts* transcripts;
} satchel_cascade_parts;

#define SATCHEL_CASCADE_PARTS_INIT \
  { sizeof(satchel_cascade_parts), {NULL, 0}, NULL, 0, NULL, NULL, NULL }

SATCHEL_API void satchel_usage_files_init(satchel_usage_files* files);
SATCHEL_API void satchel_credentials_init(satchel_credentials* credentials);
SATCHEL_API void satchel_transcripts_init(satchel_transcripts* transcripts);
SATCHEL_API void satchel_cascade_parts_init(satchel_cascade_parts* parts);

/*
 * Opens a cascade. Reads the environment now, touches no file and asks nobody.
 *   library  lends its clock, its log and its way to other machines.
 *   parts    NULL for the built-ins. Each table's release runs once, also when this
 *            call fails.
 *   config   JSON object, all keys optional; docs/configuration.md has them with
 *            their defaults. The most common:
 *              "timeout_ms": 2000           nobody waits longer, for whatever
 *              "cache_duration_s": 180      how long an answer is fresh
 *              "stale_while_revalidate": true
 *              "transcripts": {"dedup": "complete" | "first", "depth": "all" | 1}
 *   out      satchel_cascade_close releases it.
 * Returns OK, ERR_HANDLE, ERR_ARGUMENT, ERR_CONFIG, ERR_MEMORY. Any thread.
 */
SATCHEL_API satchel_status satchel_cascade_open(satchel_library* library,
                                                const satchel_cascade_parts* parts,
                                                const char* config, size_t config_len,
                                                satchel_cascade** out, satchel_error* error);

/* Closes and sets *cascade to NULL. A request under way is broken off, unless it is the
 * host's: its callback is waited for. Who is inside satchel_cascade_resolve gets what is
 * known, who has started one is called back with ERR_HANDLE. Returns as satchel_close. */
SATCHEL_API satchel_status satchel_cascade_close(satchel_cascade** cascade);

/*
 * How much is used, now. May wait for the disk, and up to "timeout_ms" for the
 * endpoint or for another process that asks it.
 * OK: *out, released by satchel_usage_free. ERR_UNAVAILABLE: nothing is known;
 * error.reason is a SATCHEL_USAGE_ERROR_*, the message begins with its name.
 */
SATCHEL_API satchel_status satchel_cascade_resolve(satchel_cascade* cascade, satchel_usage** out,
                                                   satchel_error* error);

/* usage is the callee's, to be released by satchel_usage_free, NULL where status is
 * not OK; error is valid until it returns. */
typedef void (*satchel_usage_done)(void* user, satchel_status status, satchel_usage* usage,
                                   const satchel_error* error);

/* The same on a thread of the library, for callers that may not wait: `done` is
 * called once, unless this call returns an error. Several that wait at the same time
 * share one resolve. ERR_LIMIT: 1024 wait already. */
SATCHEL_API satchel_status satchel_cascade_resolve_start(satchel_cascade* cascade,
                                                         satchel_usage_done done, void* user,
                                                         satchel_error* error);

/*
 * Takes the headers of an answer that the account got from the API, of whatever
 * status, and keeps what those beginning with anthropic-ratelimit-unified- say.
 * Other processes see it too. Does not wait for the network; writes a small file, at
 * most once a second while nothing changes.
 * OK: kept. UNCHANGED: they say nothing of the quota.
 */
SATCHEL_API satchel_status satchel_cascade_observe(satchel_cascade* cascade,
                                                   const satchel_http_header* headers, size_t count,
                                                   satchel_error* error);

/* What a report covers. */
typedef struct satchel_report_range {
  size_t struct_size;
  int64_t from;         /* Unix nanoseconds, inclusive; 0: from the first */
  int64_t to;           /* exclusive; 0: to the last */
  int32_t utc_offset_s; /* of the days: seconds east of UTC, a multiple of 900 */
  int32_t reserved;
} satchel_report_range;

#define SATCHEL_REPORT_RANGE_INIT \
  { sizeof(satchel_report_range), 0, 0, 0, 0 }

SATCHEL_API void satchel_report_range_init(satchel_report_range* range);

/* Tokens by day, by model and by block, from the transcripts, as a JSON object
 * (docs/cascade.md has its members). range may be NULL. ERR_UNAVAILABLE with
 * NO_ENTRIES or DIRECTORY_MISSING; NOT_HANDLED: the transcripts are the host's. May
 * read much, once. */
SATCHEL_API satchel_status satchel_cascade_report(satchel_cascade* cascade,
                                                  const satchel_report_range* range,
                                                  satchel_buffer* out, satchel_error* error);

/* What this process has done, in the Prometheus text format, satchel_cascade_*. */
SATCHEL_API satchel_status satchel_cascade_metrics(satchel_cascade* cascade, satchel_buffer* out,
                                                   satchel_error* error);

/* The part of a usage that most hosts need. Utilisation in percent, 0 to 100; -1
 * where it is not known. Times in Unix nanoseconds; 0 where they are not known. */
typedef struct satchel_usage_summary {
  size_t struct_size;
  int32_t source; /* SATCHEL_USAGE_* */
  int32_t error;  /* SATCHEL_USAGE_ERROR_*: why it is not fresher, if that is known */
  int64_t age;    /* nanoseconds since the numbers were true */
  double five_hour_utilization;
  int64_t five_hour_resets_at;
  double seven_day_utilization;
  int64_t seven_day_resets_at;
  satchel_tokens five_hour_tokens; /* JSONL only, as the rest */
  satchel_tokens seven_day_tokens;
  int64_t block_start; /* of the five hours; 0: no block is active */
} satchel_usage_summary;

#define SATCHEL_USAGE_SUMMARY_INIT \
  { sizeof(satchel_usage_summary), 0, 0, 0, -1.0, 0, -1.0, 0, {0, 0, 0, 0}, {0, 0, 0, 0}, 0 }

SATCHEL_API satchel_status satchel_usage_summary_get(satchel_usage* usage,
                                                     satchel_usage_summary* summary,
                                                     satchel_error* error);
/* All of it, as a JSON object (docs/cascade.md has its members). */
SATCHEL_API satchel_status satchel_usage_json(satchel_usage* usage, satchel_buffer* out,
                                              satchel_error* error);
SATCHEL_API satchel_status satchel_usage_free(satchel_usage** usage);

#ifdef __cplusplus
}
#endif

#endif /* SATCHEL_SATCHEL_H */
