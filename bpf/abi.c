// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Compiled only for its BTF: refers to every type and map that user space shares, so that bpf/abi.ts can be generated. */
#include "lib/abi.h"
#include "lib/drop.h"
#include "lib/maps.h"

struct abi {
	struct addr addr;
	struct node_config node_config;
	struct endpoint endpoint;
	struct identity_key identity_key;
	struct identity_value identity_value;
	struct policy_key policy_key;
	struct policy_value policy_value;
	struct edition_use edition_use;
	struct subject_value subject_value;
	struct peer_sets_key peer_sets_key;
	struct peer_sets_value peer_sets_value;
	struct policy_counter_key policy_counter_key;
	struct policy_counter policy_counter;
	struct lifeline_key lifeline_key;
	struct ct_key ct_key;
	struct ct_side ct_side;
	struct ct_entry ct_entry;
	struct purge_args purge_args;
	struct purge_work purge_work;
	struct fragment_key fragment_key;
	struct fragment_value fragment_value;
	struct counter_value counter_value;
	struct service_key service_key;
	struct service_value service_value;
	struct backend_value backend_value;
	struct reverse_key reverse_key;
	struct reverse_value reverse_value;
	struct flow_event flow_event;
	struct drop_budget drop_budget;
	struct answer answer;
	struct policy_scratch policy_scratch;

	enum policy_dir policy_dir;
	enum policy_match policy_match;
	enum policy_action policy_action;
	enum entry_action entry_action;
	enum peer_set_limit peer_set_limit;
	enum peer_only peer_only;
	enum node_flag node_flag;
	enum endpoint_flag endpoint_flag;
	enum addr_flag addr_flag;
	enum ct_flag ct_flag;
	enum purge_limit purge_limit;
	enum counter_limit counter_limit;
	enum loss loss;
	enum flow_kind flow_kind;
	enum drop_reason drop_reason;

	struct policy_dir_doc policy_dir_doc;
	struct policy_match_doc policy_match_doc;
	struct policy_action_doc policy_action_doc;
	struct entry_action_doc entry_action_doc;
	struct peer_set_limit_doc peer_set_limit_doc;
	struct peer_only_doc peer_only_doc;
	struct node_flag_doc node_flag_doc;
	struct endpoint_flag_doc endpoint_flag_doc;
	struct addr_flag_doc addr_flag_doc;
	struct ct_flag_doc ct_flag_doc;
	struct purge_limit_doc purge_limit_doc;
	struct counter_limit_doc counter_limit_doc;
	struct loss_doc loss_doc;
	struct flow_kind_doc flow_kind_doc;
	struct drop_reason_doc drop_reason_doc;
};
struct abi abi;

/* No hidden padding: every byte of a shared struct is a named field. */
_Static_assert(sizeof(struct node_config) == 24, "node_config");
_Static_assert(sizeof(struct endpoint) == 56, "endpoint");
_Static_assert(sizeof(struct identity_key) == 20, "identity_key");
_Static_assert(sizeof(struct policy_key) == 16, "policy_key");
_Static_assert(sizeof(struct policy_value) == 16, "policy_value");
_Static_assert(sizeof(struct edition_use) == 40, "edition_use");
_Static_assert(sizeof(struct peer_sets_value) == 64, "peer_sets_value");
_Static_assert(sizeof(struct policy_counter_key) == 16, "policy_counter_key");
_Static_assert(sizeof(struct policy_counter) == 24, "policy_counter");
_Static_assert(sizeof(struct lifeline_key) == 20, "lifeline_key");
_Static_assert(sizeof(struct ct_key) == 40, "ct_key");
_Static_assert(sizeof(struct ct_entry) == 112, "ct_entry");
_Static_assert(sizeof(struct purge_args) == 1032, "purge_args");
_Static_assert(sizeof(struct purge_work) == 1544, "purge_work");
_Static_assert(sizeof(struct fragment_key) == 40, "fragment_key");
_Static_assert(sizeof(struct service_key) == 24, "service_key");
_Static_assert(sizeof(struct reverse_key) == 32, "reverse_key");
_Static_assert(sizeof(struct flow_event) == 112, "flow_event");
