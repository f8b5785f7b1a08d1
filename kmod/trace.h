/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM zen5mem

#if !defined(Z5M_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define Z5M_TRACE_H

#include <linux/tracepoint.h>

#include "zen5mem.h"

TRACE_EVENT(zen5mem_create,
	TP_PROTO(const struct z5m_region *r),
	TP_ARGS(r),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, size)
		__field(u64, bytes_1g)
		__field(u64, bytes_off_node)
		__field(u32, order)
		__field(u32, place)
		__field(u32, place_id)
	),
	TP_fast_assign(
		__entry->id = r->id;
		__entry->size = r->size;
		__entry->bytes_1g = r->bytes[Z5M_ORDER_1G];
		__entry->bytes_off_node = r->bytes_off_node;
		__entry->order = r->asked.page_order;
		__entry->place = r->asked.place;
		__entry->place_id = r->asked.place_id;
	),
	TP_printk("id=%llu size=%llu order=%u place=%u:%u bytes_1g=%llu bytes_off_node=%llu",
		  __entry->id, __entry->size, __entry->order, __entry->place, __entry->place_id,
		  __entry->bytes_1g, __entry->bytes_off_node)
);

DECLARE_EVENT_CLASS(zen5mem_region,
	TP_PROTO(const struct z5m_region *r),
	TP_ARGS(r),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, size)
	),
	TP_fast_assign(
		__entry->id = r->id;
		__entry->size = r->size;
	),
	TP_printk("id=%llu size=%llu", __entry->id, __entry->size)
);

DEFINE_EVENT(zen5mem_region, zen5mem_destroy,
	TP_PROTO(const struct z5m_region *r),
	TP_ARGS(r)
);

DEFINE_EVENT(zen5mem_region, zen5mem_seal,
	TP_PROTO(const struct z5m_region *r),
	TP_ARGS(r)
);

TRACE_EVENT(zen5mem_fault,
	TP_PROTO(const struct z5m_region *r, u64 offset, unsigned int order, vm_fault_t result),
	TP_ARGS(r, offset, order, result),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, offset)
		__field(u32, order)
		__field(u32, result)
	),
	TP_fast_assign(
		__entry->id = r->id;
		__entry->offset = offset;
		__entry->order = order;
		__entry->result = (__force u32)result;
	),
	TP_printk("id=%llu offset=%#llx order=%u result=%#x", __entry->id, __entry->offset,
		  __entry->order, __entry->result)
);

TRACE_EVENT(zen5mem_alloc_failed,
	TP_PROTO(int node, unsigned int order, int error),
	TP_ARGS(node, order, error),
	TP_STRUCT__entry(
		__field(int, node)
		__field(u32, order)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->node = node;
		__entry->order = order;
		__entry->error = error;
	),
	TP_printk("node=%d order=%u error=%d", __entry->node, __entry->order, __entry->error)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
